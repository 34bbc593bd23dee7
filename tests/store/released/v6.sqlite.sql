BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
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
	held_out BOOLEAN NOT NULL, is_firing BOOLEAN DEFAULT 0 NOT NULL, urgency DOUBLE DEFAULT 0 NOT NULL, fired_at_ms BIGINT, 
	PRIMARY KEY (alert_id)
);
INSERT INTO "alerts" VALUES('alert-a','s_a','service_fault',1,500,'firing','high','mid',3.00000000000000044408e-01,1000,1,'a-fired-1000',0,1,3.7037036706000003815e+09,1000);
INSERT INTO "alerts" VALUES('alert-b','s_b','service_fault',1,500,'pending','high','mid',3.00000000000000044408e-01,700,0,'b-opened-700',0,0,3.7037036706000003815e+09,NULL);
INSERT INTO "alerts" VALUES('alert-c','s_c','service_fault',1,500,'firing','high','mid',0.9,800,1,'c-fired-800',1,1,0.9,800);
INSERT INTO "alerts" VALUES('alert-d','s_d','service_fault',1,500,'inactive','high','mid',3.00000000000000044408e-01,900,4,'d-dropped-900',0,0,3.7037036706000003815e+09,NULL);
INSERT INTO "alerts" VALUES('alert-e','s_e','service_fault',1,500,'resolved','high','mid',3.00000000000000044408e-01,2000,5,'e-resolved-2000',0,0,3.03000000000000042628e+01,900);
INSERT INTO "alerts" VALUES('alert-f','s_f','service_fault',1,500,'firing','high','mid',3.00000000000000044408e-01,950,1,'f-fired-950',0,1,3.7037036706000003815e+09,950);
INSERT INTO "alerts" VALUES('alert-g','s_g','service_fault',1,500,'firing','critical','mid',3.00000000000000044408e-01,1960,2,'g-worsened-1960',0,1,1.53000000000000024868e+01,960);
CREATE TABLE attempts (
	delivery_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	began_ms BIGINT NOT NULL, 
	took_ms INTEGER NOT NULL, 
	status INTEGER, 
	outcome TEXT NOT NULL, 
	why TEXT NOT NULL, 
	answer TEXT NOT NULL, 
	PRIMARY KEY (delivery_id, attempt)
);
CREATE TABLE consumed (
	topic VARCHAR(249) NOT NULL, 
	partition INTEGER NOT NULL, 
	next_offset BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition)
);
CREATE TABLE cool_downs (
	subscriber_id VARCHAR(128) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	channel VARCHAR(64) NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	event_ms BIGINT NOT NULL, 
	PRIMARY KEY (subscriber_id, kind, channel)
);
INSERT INTO "cool_downs" VALUES('s_a','service_fault','alerts','alert-a',1000);
INSERT INTO "cool_downs" VALUES('s_e','service_fault','alerts','alert-e',900);
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
CREATE TABLE deliveries (
	number INTEGER NOT NULL, 
	delivery_id VARCHAR(64) NOT NULL, 
	endpoint VARCHAR(64) NOT NULL, 
	message_id VARCHAR(128) NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	why TEXT NOT NULL, 
	rank DOUBLE NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_ms BIGINT NOT NULL, 
	expires_ms BIGINT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	finished_ms BIGINT, 
	lease_owner VARCHAR(64), 
	lease_until_ms BIGINT, suppressed_by TEXT, 
	PRIMARY KEY (number), 
	UNIQUE (delivery_id)
);
INSERT INTO "deliveries" VALUES(1,'d_c6031cb901300c05049e2a1f6583da8a','crm','a-fired-1000','alert-a','pending','',3.70370367030000066763e+09,0,5000,288005000,5000,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(2,'d_f8adfbcf307cb179aec3b048c6fae7e7','crm','c-fired-800','alert-c','suppressed','held_out: nobody is told of this subscriber, so that the others can be compared with them',0.0,0,5000,288005000,5000,5000,NULL,NULL,'held_out');
INSERT INTO "deliveries" VALUES(3,'d_f4217d12687cd1fbdf68d88ab801fdac','crm','e-fired-900','alert-e','pending','',3.00000000000000035518e+01,0,5000,288005000,5000,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(4,'d_4aaf91de135de8130174a5e85631f782','crm','e-resolved-2000','alert-e','pending','',3.00000000000000035518e+01,0,5000,288005000,5000,NULL,NULL,NULL,NULL);
INSERT INTO "deliveries" VALUES(5,'d_6853540e7821f986b1d16f258d98d84c','crm','f-fired-950','alert-f','suppressed','contact_not_allowed: the subscriber does not want to be contacted',3.70370367030000066763e+09,0,5000,288005000,5000,5000,NULL,NULL,'contact_not_allowed');
INSERT INTO "deliveries" VALUES(6,'d_45b4bb1228bfb6b3f048ce17d8511051','crm','g-fired-960','alert-g','suppressed','capacity: the account manager''s day is full of alerts that are worth more',1.50000000000000017759e+01,0,5000,288005000,5000,5000,NULL,NULL,'capacity');
INSERT INTO "deliveries" VALUES(7,'d_8856b801c13d4ea187467ad32037fbac','crm','g-worsened-1960','alert-g','suppressed','capacity: the account manager''s day is full of alerts that are worth more',1.50000000000000017759e+01,0,5000,288005000,5000,5000,NULL,NULL,'capacity');
CREATE TABLE digests (
	account_manager_id VARCHAR(128) NOT NULL, 
	channel VARCHAR(16) NOT NULL, 
	day INTEGER NOT NULL, 
	until_ms BIGINT NOT NULL, 
	message_id VARCHAR(255) NOT NULL, 
	sent_ms BIGINT NOT NULL, 
	PRIMARY KEY (account_manager_id, channel, day)
);
CREATE TABLE endpoint_audit (
	number INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	change TEXT NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "endpoint_audit" VALUES(1,'crm',5000,'added','standard');
CREATE TABLE endpoints (
	name VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	sealed BLOB, 
	state TEXT NOT NULL, 
	why TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	updated_ms BIGINT NOT NULL, 
	circuit TEXT NOT NULL, 
	failures INTEGER NOT NULL, 
	first_failure_ms BIGINT, 
	open_until_ms BIGINT, 
	warned_percent INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "endpoints" VALUES('crm','{"name":"crm","preset":"standard","url":"https://crm.example","coalesce":false}',NULL,'active','',5000,5000,'closed',0,NULL,NULL,0);
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
INSERT INTO "forewarn" VALUES(1,6);
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
CREATE TABLE messages (
	message_id VARCHAR(128) NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	type TEXT NOT NULL, 
	event_ms BIGINT NOT NULL, 
	transition_id VARCHAR(128) NOT NULL, 
	work_event_id VARCHAR(128), 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "messages" VALUES('a-fired-1000','alert-a','alert.fired',1000,'a-fired-1000',NULL,5000);
INSERT INTO "messages" VALUES('c-fired-800','alert-c','alert.fired',800,'c-fired-800',NULL,5000);
INSERT INTO "messages" VALUES('e-fired-900','alert-e','alert.fired',900,'e-fired-900',NULL,5000);
INSERT INTO "messages" VALUES('e-resolved-2000','alert-e','alert.resolved',2000,'e-resolved-2000',NULL,5000);
INSERT INTO "messages" VALUES('f-fired-950','alert-f','alert.fired',950,'f-fired-950',NULL,5000);
INSERT INTO "messages" VALUES('g-fired-960','alert-g','alert.fired',960,'g-fired-960',NULL,5000);
INSERT INTO "messages" VALUES('g-worsened-1960','alert-g','alert.worsened',1960,'g-worsened-1960',NULL,5000);
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
CREATE TABLE reported (
	event_id VARCHAR(64) NOT NULL, 
	subscriber_id VARCHAR(128) NOT NULL, 
	created_ms BIGINT NOT NULL, 
	body BLOB NOT NULL, 
	sent_ms BIGINT, 
	PRIMARY KEY (event_id)
);
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
CREATE TABLE slots (
	account_manager_id VARCHAR(128) NOT NULL, 
	day INTEGER NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	rank DOUBLE NOT NULL, 
	PRIMARY KEY (account_manager_id, day, alert_id)
);
INSERT INTO "slots" VALUES('m1',0,'alert-a',3.70370367030000066763e+09);
INSERT INTO "slots" VALUES('m1',0,'alert-e',3.00000000000000035518e+01);
CREATE TABLE snapshots (
	subscriber_id VARCHAR(128) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (subscriber_id, at_ms)
);
INSERT INTO "snapshots" VALUES('s_b',5,X'00626F6479');
INSERT INTO "snapshots" VALUES('s_a',5,X'61');
INSERT INTO "snapshots" VALUES('s_a',7,X'62');
CREATE TABLE states (
	subscriber_id VARCHAR(128) NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (subscriber_id)
)
 WITHOUT ROWID

;
INSERT INTO "states" VALUES('s_a',X'6F6E65');
INSERT INTO "states" VALUES('s_b',X'0074776F');
CREATE TABLE tickets (
	alert_id VARCHAR(128) NOT NULL, 
	endpoint VARCHAR(64) NOT NULL, 
	external_id TEXT, 
	external_ref TEXT, 
	told_ms BIGINT NOT NULL, 
	last_message_id VARCHAR(128) NOT NULL, 
	resolved BOOLEAN NOT NULL, 
	PRIMARY KEY (alert_id, endpoint)
);
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
	held_out BOOLEAN NOT NULL, contact_allowed BOOLEAN DEFAULT 1 NOT NULL, why_code TEXT, action_code TEXT, 
	PRIMARY KEY (transition_id)
);
INSERT INTO "transitions" VALUES('a-opened-500','alert-a','s_a','service_fault',1,'pending','opened',0,'the risk reached the opening threshold',500,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','Call, ask what changed, offer a plan that fits the present use',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'threshold_reached','offer_fitting_plan');
INSERT INTO "transitions" VALUES('a-fired-1000','alert-a','s_a','service_fault',1,'firing','fired',1,'the risk stayed above the opening threshold for the hold time',1000,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','Call, ask what changed, offer a plan that fits the present use',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'hold_time_elapsed','offer_fitting_plan');
INSERT INTO "transitions" VALUES('b-opened-700','alert-b','s_b','service_fault',1,'pending','opened',0,'probability above the threshold for 24 hours',700,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,NULL,NULL);
INSERT INTO "transitions" VALUES('c-fired-800','alert-c','s_c','service_fault',1,'firing','fired',1,'the risk reached the opening threshold',800,500,0.9,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',0,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,1,1,'threshold_reached',NULL);
INSERT INTO "transitions" VALUES('d-opened-600','alert-d','s_d','service_fault',1,'pending','opened',0,'the risk reached the opening threshold',600,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'threshold_reached',NULL);
INSERT INTO "transitions" VALUES('d-dropped-900','alert-d','s_d','service_fault',1,'inactive','dropped',4,'profiling consent was withdrawn',900,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'consent_withdrawn',NULL);
INSERT INTO "transitions" VALUES('e-fired-900','alert-e','s_e','service_fault',1,'firing','fired',1,'the risk stayed above the opening threshold for the hold time',900,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',100,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','Call, ask what changed, offer a plan that fits the present use',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'hold_time_elapsed','offer_fitting_plan');
INSERT INTO "transitions" VALUES('e-resolved-2000','alert-e','s_e','service_fault',1,'resolved','resolved',5,'the subscriber left',2000,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',100,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','Call, ask what changed, offer a plan that fits the present use',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'subscriber_left','offer_fitting_plan');
INSERT INTO "transitions" VALUES('f-fired-950','alert-f','s_f','service_fault',1,'firing','fired',1,'the risk stayed above the opening threshold for the hold time',950,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',12345678901,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,0,'hold_time_elapsed',NULL);
INSERT INTO "transitions" VALUES('g-fired-960','alert-g','s_g','service_fault',1,'firing','fired',1,'the risk stayed above the opening threshold for the hold time',960,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'high','mid',50,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'hold_time_elapsed',NULL);
INSERT INTO "transitions" VALUES('g-worsened-1960','alert-g','s_g','service_fault',1,'firing','worsened',2,'the risk rose to a higher band',1960,500,3.00000000000000044408e-01,-8.47297860387203449761e-01,-3.5,0.25,'critical','mid',50,'EUR','[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]','call',2000,'champion-1-abcdef01','f00d','policy-1','contracts-1','{"0":17,"131075":4}','m1',NULL,NULL,NULL,0,1,'band_rose',NULL);
CREATE TABLE work (
	alert_id VARCHAR(128) NOT NULL, 
	state TEXT NOT NULL, 
	assignee TEXT, 
	note TEXT, 
	snoozed_until_ms BIGINT, 
	snooze_reason TEXT, 
	outcome TEXT, 
	outcome_reason TEXT, 
	updated_ms BIGINT NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (alert_id)
);
CREATE TABLE work_events (
	work_event_id VARCHAR(128) NOT NULL, 
	alert_id VARCHAR(128) NOT NULL, 
	at_ms BIGINT NOT NULL, 
	act TEXT NOT NULL, 
	origin VARCHAR(128) NOT NULL, 
	body JSON NOT NULL, 
	PRIMARY KEY (work_event_id)
);
CREATE INDEX alerts_by_state ON alerts (state, probability);
CREATE INDEX alerts_by_subscriber ON alerts (subscriber_id);
CREATE INDEX transitions_by_alert ON transitions (alert_id, at_ms);
CREATE INDEX messages_by_alert ON messages (alert_id, created_ms);
CREATE UNIQUE INDEX deliveries_once ON deliveries (endpoint, message_id);
CREATE INDEX deliveries_by_alert ON deliveries (alert_id);
CREATE INDEX tickets_by_external ON tickets (endpoint, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX deliveries_in_order ON deliveries (endpoint, alert_id, number) WHERE state IN ('pending', 'in_flight', 'unknown');
CREATE INDEX deliveries_fresh ON deliveries (endpoint, rank DESC, number) WHERE state = 'pending' AND attempts = 0;
CREATE INDEX deliveries_tried ON deliveries (endpoint, next_attempt_ms, number) WHERE state IN ('pending', 'in_flight', 'unknown') AND attempts > 0;
CREATE UNIQUE INDEX deliveries_one_in_flight ON deliveries (endpoint, alert_id) WHERE state = 'in_flight';
CREATE INDEX work_events_by_alert ON work_events (alert_id, at_ms);
CREATE INDEX alerts_by_urgency ON alerts (held_out, is_firing, urgency, fired_at_ms);
COMMIT;
