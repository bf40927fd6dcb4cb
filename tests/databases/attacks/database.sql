-- The database that the attacks are run on: small, with one of everything a query could abuse.
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, country TEXT, born DATE);
INSERT INTO singer VALUES
  (1, 'Joe Sharp', 52, 'Netherlands', '1972-02-03'),
  (2, 'Timbaland', 32, 'United States', '1992-05-01'),
  (3, 'Justin Brown', 29, 'France', '1995-08-09'),
  (4, 'Rose White', 41, 'France', '1983-11-30'),
  (5, 'Zoë Straße', 43, NULL, '1981-01-01'),
  (6, 'Łucja 李', 25, 'Poland', '1999-12-31');
CREATE TABLE concert (id INTEGER PRIMARY KEY, singer_id INTEGER REFERENCES singer (id), year INTEGER, price REAL);
INSERT INTO concert VALUES (1, 1, 2014, 20.5), (2, 2, 2014, 35.0), (3, 2, 2015, 40.0), (4, 4, 2015, NULL);
CREATE TABLE "odd ""name""" ("select" TEXT, "a b" INTEGER);
INSERT INTO "odd ""name""" VALUES ('x', 1), ('100%', 2), ('a_b', 3);
CREATE TABLE digit (n INTEGER);
INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
CREATE TABLE document (id INTEGER PRIMARY KEY, body TEXT, raw BLOB);
INSERT INTO document VALUES
  (1, '{"tags": ["red", "green"], "size": 3}', x'00FF10'), (2, CAST(x'4142FF43' AS TEXT), NULL);
CREATE VIEW french AS SELECT name, age FROM singer WHERE country = 'France';
CREATE VIEW hidden_write AS SELECT writefile('owned.txt', 'x') AS n;
CREATE VIEW hidden_load AS SELECT load_extension('/tmp/none') AS n;
CREATE TRIGGER on_concert AFTER INSERT ON concert BEGIN DELETE FROM singer; END;
CREATE TRIGGER on_french INSTEAD OF INSERT ON french BEGIN DELETE FROM concert; END;
CREATE INDEX by_country ON singer (country);
CREATE VIRTUAL TABLE note USING fts5 (body);
INSERT INTO note VALUES ('the quick brown fox'), ('a lazy dog');
CREATE VIRTUAL TABLE old_note USING fts4 (body);
INSERT INTO old_note VALUES ('jumped over');
CREATE VIRTUAL TABLE place USING rtree (id, min_x, max_x, min_y, max_y);
INSERT INTO place VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6);
