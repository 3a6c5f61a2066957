BEGIN TRANSACTION;
CREATE TABLE counter (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  last INTEGER NOT NULL CHECK (last >= 0)
);
INSERT INTO "counter" VALUES(1,7);
CREATE TABLE entry (
  entry_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('sale', 'refund')),
  reference TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
  method TEXT NOT NULL,
  application TEXT,
  terminal_counter INTEGER NOT NULL UNIQUE CHECK (terminal_counter > 0),
  body BLOB NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('stored', 'captured', 'posted', 'refused', 'reversed')),
  answer TEXT,
  stored_at INTEGER NOT NULL,
  answered_at INTEGER,
  steps TEXT NOT NULL DEFAULT '[]',
  UNIQUE (kind, reference),
  CHECK ((state = 'stored') = (answer IS NULL)),
  CHECK (kind = 'sale' OR state NOT IN ('captured', 'reversed')),
  CHECK (kind = 'refund' OR state <> 'posted')
);
INSERT INTO "entry" VALUES('pay_1','sale','单 1','pay_1',101,'tap','CITY CARD',1,X'7B227465726D696E616C5F636F756E746572223A20317D','stored',NULL,1790000001,NULL,'[]');
INSERT INTO "entry" VALUES('pay_2','sale','单 2','pay_2',102,'tap','CITY CARD',2,X'7B227465726D696E616C5F636F756E746572223A20327D','captured','{"state": "captured", "code": "insufficient_funds", "detail": "余额不足"}',1790000002,1790000102,'[["card", 1.5]]');
INSERT INTO "entry" VALUES('pay_3','sale','单 3','pay_3',103,'tap','CITY CARD',3,X'7B227465726D696E616C5F636F756E746572223A20337D','refused','{"state": "refused", "code": "insufficient_funds", "detail": "余额不足"}',1790000003,1790000103,'[["card", 1.5]]');
INSERT INTO "entry" VALUES('pay_4','sale','单 4','pay_4',104,'tap','CITY CARD',4,X'7B227465726D696E616C5F636F756E746572223A20347D','reversed','{"state": "reversed", "code": "insufficient_funds", "detail": "余额不足"}',1790000004,1790000104,'[["card", 1.5]]');
INSERT INTO "entry" VALUES('ref_5','refund','单 5','pay_2',105,'refund',NULL,5,X'7B227465726D696E616C5F636F756E746572223A20357D','posted','{"state": "posted", "code": "insufficient_funds", "detail": "余额不足"}',1790000005,1790000105,'[["card", 1.5]]');
INSERT INTO "entry" VALUES('ref_6','refund','单 6','pay_2',106,'refund',NULL,6,X'7B227465726D696E616C5F636F756E746572223A20367D','stored',NULL,1790000006,NULL,'[]');
INSERT INTO "entry" VALUES('pay_7','sale','单 7','pay_7',107,'tap','CITY CARD',7,X'7B227465726D696E616C5F636F756E746572223A20377D','stored',NULL,1790000007,NULL,'[]');
CREATE INDEX entry_pending ON entry (terminal_counter) WHERE state = 'stored';
CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal keeps every entry'); END;
CREATE TRIGGER entry_facts_stay BEFORE UPDATE ON entry
WHEN NEW.entry_id IS NOT OLD.entry_id OR NEW.kind IS NOT OLD.kind
  OR NEW.reference IS NOT OLD.reference OR NEW.payment_id IS NOT OLD.payment_id
  OR NEW.amount_fen IS NOT OLD.amount_fen OR NEW.body IS NOT OLD.body
  OR NEW.terminal_counter IS NOT OLD.terminal_counter
BEGIN SELECT RAISE(ABORT, 'what was stored stays'); END;
COMMIT;
