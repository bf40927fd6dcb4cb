-- What the MySQL attacks are run on, by a role that may write: the transaction alone has to hold it.
CREATE TABLE singer (id integer PRIMARY KEY, name varchar(80) NOT NULL, age integer, country varchar(40), born date);
INSERT INTO singer VALUES
  (1, 'Joe Sharp', 52, 'Netherlands', '1972-02-03'), (2, 'Timbaland', 32, 'United States', '1992-05-01'),
  (3, 'Justin Brown', 29, 'France', '1995-08-09'), (4, 'Rose White', 41, 'France', '1983-11-30');
CREATE TABLE concert (
  id integer PRIMARY KEY AUTO_INCREMENT, singer_id integer, price decimal(8, 2), at datetime, raw varbinary(8),
  FOREIGN KEY (singer_id) REFERENCES singer (id));
INSERT INTO concert (singer_id, price, at, raw) VALUES
  (1, 20.50, '2014-05-01 20:00:00', x'00ff10'), (2, 35, '2014-06-01 19:30:00', NULL);
CREATE TABLE log (line text) ENGINE = MyISAM;
CREATE VIEW french AS SELECT name, age FROM singer WHERE country = 'France';
CREATE FUNCTION wipe() RETURNS integer DETERMINISTIC RETURN (SELECT count(*) FROM concert);
