BEGIN TRANSACTION;
CREATE TABLE alerts (
	alert_id VARCHAR(128) NOT NULL, 
	subscriber_id VARCHAR(128) NOT NULL, 
	kind TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	opened_at_ms BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	band TEXT NOT NULL, 
	value_band TEXT NOT NULL, 
	probability DOUBLE NOT NULL, 
	latest_at_ms BIGINT NOT NULL, 
	latest_rank SMALLINT NOT NULL, 
	latest_transition_id VARCHAR(128) NOT NULL, 
	held_out BOOLEAN NOT NULL, 
	PRIMARY KEY (alert_id)
);
INSERT INTO "alerts" VALUES('alert-a','s_a','service_fault',1,500,'firing','high','mid',3.00000000000000044408e-01,1000,1,'a-fired-1000',0);
INSERT INTO "alerts" VALUES('alert-b','s_b','service_fault',1,500,'pending','high','mid',3.00000000000000044408e-01,700,0,'b-opened-700',0);
CREATE TABLE dead_letters (
	topic VARCHAR(249) NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	value BLOB NOT NULL, 
	PRIMARY KEY (topic, partition, "offset")
);
INSERT INTO "dead_letters" VALUES('usage',0,5,'not_json','no',X'FF00');
INSERT INTO "dead_letters" VALUES('-',0,6,'empty','',X'');
CREATE TABLE example_features (
	example_id VARCHAR(128) NOT NULL, 
	feature_table TEXT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (example_id)
)
 WITHOUT ROWID

;
INSERT INTO "example_features" VALUES('e1','f00d',X'000000000000F03F0000000000000040');
INSERT INTO "example_features" VALUES('e2','f00d',X'000000000000F03F0000000000000040');
CREATE TABLE forewarn (
	id SMALLINT NOT NULL, 
	schema_version INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "forewarn" VALUES(1,3);
CREATE TABLE late_events (
	topic VARCHAR(249) NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	subscriber_id VARCHAR(128) NOT NULL, 
	event_id VARCHAR(128) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	late_by_s BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition, "offset")
);
INSERT INTO "late_events" VALUES('usage',0,3,'s_a','ev3',4,86400);
CREATE TABLE market_events (
	digest VARCHAR(64) NOT NULL, 
	entry_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	known_ms BIGINT NOT NULL, 
	body JSON NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "market_events" VALUES('d95ca40a9736595c0ae9f395b01acd8965bb7303cebbc6d7698cad98ff17aff3','p1',0,7,'{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":0,"cancelled":false}');
INSERT INTO "market_events" VALUES('856aebec636094b155f982bd6340492476f4b5f46648ce2314e3aaf950c61d83','p1',1,9,'{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":1,"cancelled":true}');
CREATE TABLE models (
	name VARCHAR(128) NOT NULL, 
	version INTEGER NOT NULL, 
	hash TEXT NOT NULL, 
	published_at_ms BIGINT NOT NULL, 
	body JSON NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "models" VALUES('champion',1,'9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00',7000,'{"name":"champion","version":1,"parent":null,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00"}');
INSERT INTO "models" VALUES('champion',2,'b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8',7000,'{"name":"champion","version":2,"parent":1,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8"}');
CREATE TABLE positions (
	source TEXT NOT NULL, 
	next_offset BIGINT NOT NULL, 
	last_ms BIGINT NOT NULL, 
	max_ms BIGINT NOT NULL, 
	PRIMARY KEY (source)
);
INSERT INTO "positions" VALUES('usage/0',1,100,200);
CREATE TABLE predictions (
	example_id VARCHAR(128) NOT NULL, 
	subscriber_id VARCHAR(128) NOT NULL, 
	snapshot_at_ms BIGINT NOT NULL, 
	probability DOUBLE NOT NULL, 
	label BOOLEAN NOT NULL, 
	kind TEXT NOT NULL, 
	model_version TEXT NOT NULL, 
	knowable_at_ms BIGINT NOT NULL, 
	closed_at_ms BIGINT NOT NULL, 
	treatment TEXT NOT NULL, 
	provisional BOOLEAN NOT NULL, 
	corrects BOOLEAN, 
	PRIMARY KEY (example_id)
);
INSERT INTO "predictions" VALUES('e1','s_1',1000,3.33333333333333314829e-01,1,'stayed','scorecard-00000000',5000,6000,'none',0,NULL);
INSERT INTO "predictions" VALUES('e2','s_2',2000,3.33333333333333314829e-01,0,'stayed','scorecard-00000000',5000,6000,'none',0,NULL);
CREATE TABLE promotions (
	number INTEGER NOT NULL, 
	at_ms BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	body JSON NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (hash)
);
INSERT INTO "promotions" VALUES(0,9,'9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617','{"at_ms":9,"from":"champion","to":"hazard","by":"operator","evidence":{"weeks":4.0},"hash":"9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617"}');
INSERT INTO "promotions" VALUES(1,9,'580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf','{"at_ms":9,"from":"champion","to":"champion-1-01234567","by":"operator","evidence":{"weeks":4.0},"hash":"580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf"}');
CREATE TABLE run (
	id SMALLINT NOT NULL, 
	input TEXT NOT NULL, 
	settings JSON NOT NULL, 
	policy JSON NOT NULL, 
	policy_version TEXT NOT NULL, 
	feature_table TEXT NOT NULL, 
	received_ms BIGINT NOT NULL, 
	started_ms BIGINT NOT NULL, 
	stream_ms BIGINT NOT NULL, 
	counters JSON NOT NULL, 
	commits BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "run" VALUES(1,'dump/','{"every":1,"names":["a"]}','{"hold_hours":24.5}','policy-1','f00d',1700000000000,1700000000001,1000,'{"events":1}',1);
CREATE TABLE states (
	subscriber_id VARCHAR(128) NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (subscriber_id)
)
 WITHOUT ROWID

;
INSERT INTO "states" VALUES('s_a',X'6F6E65');
INSERT INTO "states" VALUES('s_b',X'0074776F');
CREATE TABLE trainer (
	id SMALLINT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "trainer" VALUES(1,X'7B227175657565223A5B5D7D');
CREATE TABLE transitions (
	transition_id VARCHAR(128) NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	subscriber_id VARCHAR(128) NOT NULL, 
	kind TEXT NOT NULL, 
	episode INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	change TEXT NOT NULL, 
	rank SMALLINT NOT NULL, 
	why TEXT NOT NULL, 
	at_ms BIGINT NOT NULL, 
	opened_at_ms BIGINT NOT NULL, 
	probability DOUBLE NOT NULL, 
	logit DOUBLE NOT NULL, 
	intercept DOUBLE NOT NULL, 
	threshold DOUBLE NOT NULL, 
	band TEXT NOT NULL, 
	value_band TEXT NOT NULL, 
	value_at_risk_minor BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	reasons JSON NOT NULL, 
	action TEXT NOT NULL, 
	due_at_ms BIGINT NOT NULL, 
	model_version TEXT NOT NULL, 
	feature_table TEXT NOT NULL, 
	policy_version TEXT NOT NULL, 
	schema_version TEXT NOT NULL, 
	offsets JSON NOT NULL, 
	account_manager_id TEXT, 
	group_id TEXT, 
	area_id TEXT, 
	signals_version TEXT, 
	held_out BOOLEAN NOT NULL, 
	PRIMARY KEY (transition_id)
);
INSERT INTO "transitions" VALUES('a-opened-500','alert-a','s_a','service_fault',1,'pending','opened',0,'probability above the threshold for 24 hours',500,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0);
INSERT INTO "transitions" VALUES('a-fired-1000','alert-a','s_a','service_fault',1,'firing','fired',1,'probability above the threshold for 24 hours',1000,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0);
INSERT INTO "transitions" VALUES('b-opened-700','alert-b','s_b','service_fault',1,'pending','opened',0,'probability above the threshold for 24 hours',700,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0);
CREATE INDEX alerts_by_subscriber ON alerts (subscriber_id);
CREATE INDEX alerts_by_state ON alerts (state, probability);
CREATE INDEX transitions_by_alert ON transitions (alert_id, at_ms);
COMMIT;
