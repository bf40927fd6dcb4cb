-- What the PostgreSQL attacks are run on, by a role that may write: the transaction alone has to hold it.
CREATE TABLE singer (id integer PRIMARY KEY, name text NOT NULL, age integer, country text, born date);
INSERT INTO singer VALUES
  (1, 'Joe Sharp', 52, 'Netherlands', '1972-02-03'), (2, 'Timbaland', 32, 'United States', '1992-05-01'),
  (3, 'Justin Brown', 29, 'France', '1995-08-09'), (4, 'Rose White', 41, 'France', '1983-11-30'),
  (5, 'Zoë Straße', 43, NULL, '1981-01-01');
CREATE TABLE concert (
  id serial PRIMARY KEY, singer_id integer REFERENCES singer (id), price numeric(8, 2), at timestamp, open boolean);
INSERT INTO concert (singer_id, price, at, open) VALUES
  (1, 20.50, '2014-05-01 20:00:00', true), (2, 35, '2014-06-01 19:30:00', false), (2, NULL, NULL, NULL);
CREATE TABLE "odd ""name""" ("select" text, "a b" integer);
INSERT INTO "odd ""name""" VALUES ('x', 1);
CREATE TABLE document (id integer, body jsonb, raw bytea, tags text[]);
INSERT INTO document VALUES (1, '{"size": 3, "tags": ["red"]}', '\x00ff10', '{a,b}');
CREATE VIEW french AS SELECT name, age FROM singer WHERE country = 'France';
CREATE MATERIALIZED VIEW old AS SELECT name FROM singer WHERE age > 40;
CREATE FUNCTION wipe() RETURNS integer LANGUAGE sql AS 'DELETE FROM concert; SELECT 1';
CREATE SCHEMA shop;
CREATE TABLE shop.sale (id integer PRIMARY KEY, singer_id integer REFERENCES singer (id), amount double precision);
INSERT INTO shop.sale VALUES (1, 1, 9.5);
GRANT ALL ON SCHEMA public, shop TO reader;
GRANT ALL ON ALL TABLES IN SCHEMA public, shop TO reader;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO reader;
