-- An index as shape 2 of the gallery wrote it: what `sqlite3.Connection.iterdump` made of one.
BEGIN TRANSACTION;
CREATE TABLE counts (
  source INTEGER, quarter INTEGER, faces INTEGER NOT NULL, unknown INTEGER NOT NULL,
  PRIMARY KEY (source, quarter)
) WITHOUT ROWID;
INSERT INTO "counts" VALUES(-5,1969248,1,1);
INSERT INTO "counts" VALUES(0,1969248,5,2);
INSERT INTO "counts" VALUES(1,1969248,1,1);
INSERT INTO "counts" VALUES(2,1969248,2,1);
INSERT INTO "counts" VALUES(3,1969248,1,0);
INSERT INTO "counts" VALUES(4,1969248,1,0);
CREATE TABLE faces (
  number INTEGER PRIMARY KEY, ref BLOB NOT NULL, key TEXT, source INTEGER NOT NULL, id NOT NULL,
  captured INTEGER NOT NULL, stored INTEGER NOT NULL, size INTEGER NOT NULL, sharpness REAL,
  quality REAL, score REAL, reason TEXT NOT NULL, known INTEGER NOT NULL, added INTEGER NOT NULL
);
INSERT INTO "faces" VALUES(1,X'217650CB21B222FFB679',NULL,1,X'00000000000000000000000000000002',1772323202000,1772323200002,1002,NULL,NULL,NULL,'',0,1772400000000);
INSERT INTO "faces" VALUES(2,X'5CBA64929E057A8A5A4B',NULL,2,X'00000000000000000000000000000001',1772323201000,1772323200001,1001,123.5,0.75,0.91,'',1,1772400000000);
INSERT INTO "faces" VALUES(3,X'85E017F1F703D3E97F6E','odd/a''b ü.png',3,'',1772323400000,1772323400000,11,3.0,NULL,NULL,'',1,1772400000000);
INSERT INTO "faces" VALUES(4,X'9F55D4386D87B6E5FFAB','box-2/door/2026-03-01/face_1772323203000_00000000000000000000000000000003.png',4,X'00000000000000000000000000000003',1772323203250,1772323200003,1003,7.0,NULL,NULL,'',1,1772400000000);
INSERT INTO "faces" VALUES(5,X'CA348682E220EB3B88F0','box-1/door/2026-03-01/face_1772323204000_short-id-1.png',2,'box-1/short-id-1',1772323204000,1772323200004,1004,NULL,NULL,NULL,'',0,1772400000000);
INSERT INTO "faces" VALUES(6,X'DF2D4866F349775AEFA1','rejected/box-1/bad_crc_ffffffffffffffffffffffffffffffff',-5,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',1772323300000,1772323300000,10,NULL,NULL,NULL,'bad_crc',0,1772400000000);
CREATE TABLE gone (
  id, device TEXT, at INTEGER NOT NULL, PRIMARY KEY (id, device)
) WITHOUT ROWID;
INSERT INTO "gone" VALUES(X'00000000000000000000000000000005','box-1',1772400000000);
CREATE TABLE logs (
  key TEXT PRIMARY KEY, job TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
  what TEXT NOT NULL, count INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "logs" VALUES('log-1','job-1',1772400000000,'anna','1 face',1);
CREATE TABLE seen (number INTEGER PRIMARY KEY);
CREATE TABLE sources (
  number INTEGER PRIMARY KEY, device TEXT NOT NULL, camera TEXT NOT NULL,
  faces INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "sources" VALUES(-5,'box-1','unknown',1,1);
INSERT INTO "sources" VALUES(1,'box-1','hall',1,1);
INSERT INTO "sources" VALUES(2,'box-1','door',2,1);
INSERT INTO "sources" VALUES(3,'box-9','yard',1,0);
INSERT INTO "sources" VALUES(4,'box-2','door',1,0);
CREATE INDEX by_name ON sources (device, camera);
CREATE UNIQUE INDEX by_ref ON faces (ref);
CREATE INDEX by_id ON faces (id) WHERE id <> '';
CREATE INDEX by_time ON faces (captured) WHERE source > 0;
CREATE INDEX by_source ON faces (source, captured);
CREATE INDEX by_storing ON faces (stored);
CREATE INDEX by_sharpness ON faces (captured / 3600000, coalesce(sharpness, -1), captured)
  WHERE source > 0;
CREATE INDEX by_unknown ON faces (source, captured) WHERE NOT known;
CREATE TRIGGER added AFTER INSERT ON faces BEGIN
  UPDATE sources SET faces = faces + 1, unknown = unknown + NOT new.known
    WHERE number = new.source;
  INSERT INTO counts VALUES (new.source, new.captured / 900000, 1, NOT new.known)
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;
  INSERT INTO counts SELECT 0, new.captured / 900000, 1, NOT new.known WHERE new.source > 0
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;
 END;
CREATE TRIGGER removed AFTER DELETE ON faces BEGIN
  UPDATE sources SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE number = old.source;
  UPDATE counts SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000;
  DELETE FROM counts WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000 AND faces = 0;
  DELETE FROM sources WHERE number = old.source AND faces = 0;
 END;
CREATE TRIGGER changed AFTER UPDATE OF source, captured, known ON faces
  WHEN (old.source, old.captured, old.known) <> (new.source, new.captured, new.known)
  BEGIN
  UPDATE sources SET faces = faces + 1, unknown = unknown + NOT new.known
    WHERE number = new.source;
  INSERT INTO counts VALUES (new.source, new.captured / 900000, 1, NOT new.known)
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;
  INSERT INTO counts SELECT 0, new.captured / 900000, 1, NOT new.known WHERE new.source > 0
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;

  UPDATE sources SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE number = old.source;
  UPDATE counts SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000;
  DELETE FROM counts WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000 AND faces = 0;
  DELETE FROM sources WHERE number = old.source AND faces = 0;
 END;
COMMIT;
PRAGMA user_version = 2;
