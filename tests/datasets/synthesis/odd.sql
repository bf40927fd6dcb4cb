-- Names that need quotes, keywords as names, no keys, no rows, odd values: what real files have.
CREATE TABLE "order" ("select" TEXT, "from date" TEXT, "100%" REAL, "a""b" INTEGER);
INSERT INTO "order" VALUES ('x|y', '2020-01-05', 1.5, 1), ('{z}', '2020-02-05', 2.5, 2), ('it''s', '2021-03-05', 3.5, 3),
    ('it''s', '2021-04-05', 4.5, 4), ('x|y', '2022-05-05', 5.5, 5), ('x|y', '2022-06-05', 6.5, 6);
CREATE TABLE empty (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE "Größe" ("Maß" REAL, "名前" TEXT, b BLOB);
INSERT INTO "Größe" VALUES (1.0, '甲', x'00'), (2.0, '乙', x'01'), (3.5, '丙', NULL), (NULL, '丁', NULL);
CREATE TABLE nothing_but_numbers (a, b, c);
INSERT INTO nothing_but_numbers VALUES (1, 2, 3), (4, 'five', 6), (7, NULL, x'08');
CREATE TABLE self (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES self (id), title TEXT);
INSERT INTO self VALUES (1, NULL, 'head'), (2, 1, 'hand'), (3, 1, 'foot'), (4, 2, 'toe');
