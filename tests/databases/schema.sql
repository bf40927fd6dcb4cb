-- What a description must get right: keys of several columns, implicit references, odd names, generated columns.
CREATE TABLE Country (Code TEXT PRIMARY KEY, Name TEXT NOT NULL, Founded DATE, Area REAL);
INSERT INTO Country VALUES
  ('FR', 'France', '0843-08-10', 643801.0), ('PL', 'Poland', '0966-04-14', 312696.0), ('XX', '', NULL, NULL);
CREATE TABLE city (
  id INTEGER PRIMARY KEY,
  country_code VARCHAR(2) REFERENCES country,
  name TEXT,
  note,
  twice INTEGER GENERATED ALWAYS AS (id * 2)
);
INSERT INTO city (country_code, name, note) VALUES
  ('FR', 'Paris', 'the capital of France and its largest city'), ('FR', 'Paris', 1.5), ('PL', 'Łódź', x'00'),
  ('PL', char(10) || ' Nowy' || char(10) || char(9) || 'Sącz ', NULL), ('PL', '   ', NULL);
CREATE TABLE "two words" (b INTEGER, a INTEGER, "it's" TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE visit (
  x INTEGER, y INTEGER, city_id INT, gone INT,
  FOREIGN KEY (city_id) REFERENCES CITY (ID),
  FOREIGN KEY (x, y) REFERENCES "two words" (a, b),
  FOREIGN KEY (gone) REFERENCES nowhere
);
CREATE VIEW french AS SELECT name AS city_name, id FROM city WHERE country_code = 'FR';
CREATE VIEW broken AS SELECT * FROM nowhere;
CREATE TABLE counter (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE VIRTUAL TABLE search USING fts5 (body);
