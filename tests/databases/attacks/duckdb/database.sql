-- What the DuckDB attacks are run on.
CREATE TABLE singer (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, age INTEGER, country VARCHAR, born DATE);
INSERT INTO singer VALUES
  (1, 'Joe Sharp', 52, 'Netherlands', '1972-02-03'), (2, 'Timbaland', 32, 'United States', '1992-05-01'),
  (3, 'Justin Brown', 29, 'France', '1995-08-09'), (4, 'Rose White', 41, 'France', '1983-11-30');
CREATE TABLE concert (id INTEGER, singer_id INTEGER REFERENCES singer (id), price DECIMAL(8, 2), began TIMESTAMP);
INSERT INTO concert VALUES (1, 1, 20.50, '2014-05-01 20:00:00');
CREATE VIEW french AS SELECT name, age FROM singer WHERE country = 'France';
CREATE SEQUENCE number;
