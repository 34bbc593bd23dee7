SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alerts (
    alert_id character varying(128) NOT NULL,
    subscriber_id character varying(128) NOT NULL,
    kind text NOT NULL,
    episode integer NOT NULL,
    opened_at_ms bigint NOT NULL,
    state text NOT NULL,
    band text NOT NULL,
    value_band text NOT NULL,
    probability double precision NOT NULL,
    latest_at_ms bigint NOT NULL,
    latest_rank smallint NOT NULL,
    latest_transition_id character varying(128) NOT NULL,
    held_out boolean NOT NULL
);
CREATE TABLE public.dead_letters (
    topic character varying(249) NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    value bytea NOT NULL
);
CREATE TABLE public.example_features (
    example_id character varying(128) NOT NULL,
    feature_table text NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.forewarn (
    id smallint NOT NULL,
    schema_version integer NOT NULL
);
CREATE TABLE public.late_events (
    topic character varying(249) NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    subscriber_id character varying(128) NOT NULL,
    event_id character varying(128) NOT NULL,
    at_ms bigint NOT NULL,
    late_by_s bigint NOT NULL
);
CREATE TABLE public.market_events (
    digest character varying(64) NOT NULL,
    entry_id text NOT NULL,
    revision integer NOT NULL,
    known_ms bigint NOT NULL,
    body json NOT NULL
);
CREATE TABLE public.models (
    name character varying(128) NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,
    published_at_ms bigint NOT NULL,
    body json NOT NULL
);
CREATE TABLE public.positions (
    source text NOT NULL,
    next_offset bigint NOT NULL,
    last_ms bigint NOT NULL,
    max_ms bigint NOT NULL
);
CREATE TABLE public.predictions (
    example_id character varying(128) NOT NULL,
    subscriber_id character varying(128) NOT NULL,
    snapshot_at_ms bigint NOT NULL,
    probability double precision NOT NULL,
    label boolean NOT NULL,
    kind text NOT NULL,
    model_version text NOT NULL,
    knowable_at_ms bigint NOT NULL,
    closed_at_ms bigint NOT NULL,
    treatment text NOT NULL,
    provisional boolean NOT NULL,
    corrects boolean
);
CREATE TABLE public.promotions (
    number integer NOT NULL,
    at_ms bigint NOT NULL,
    hash character varying(64) NOT NULL,
    body json NOT NULL
);
CREATE TABLE public.run (
    id smallint NOT NULL,
    input text NOT NULL,
    settings json NOT NULL,
    policy json NOT NULL,
    policy_version text NOT NULL,
    feature_table text NOT NULL,
    received_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    stream_ms bigint NOT NULL,
    counters json NOT NULL,
    commits bigint NOT NULL
);
CREATE TABLE public.states (
    subscriber_id character varying(128) NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.trainer (
    id smallint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.transitions (
    transition_id character varying(128) NOT NULL,
    alert_id character varying(128) NOT NULL,
    subscriber_id character varying(128) NOT NULL,
    kind text NOT NULL,
    episode integer NOT NULL,
    state text NOT NULL,
    change text NOT NULL,
    rank smallint NOT NULL,
    why text NOT NULL,
    at_ms bigint NOT NULL,
    opened_at_ms bigint NOT NULL,
    probability double precision NOT NULL,
    logit double precision NOT NULL,
    intercept double precision NOT NULL,
    threshold double precision NOT NULL,
    band text NOT NULL,
    value_band text NOT NULL,
    value_at_risk_minor bigint NOT NULL,
    currency text NOT NULL,
    reasons json NOT NULL,
    action text NOT NULL,
    due_at_ms bigint NOT NULL,
    model_version text NOT NULL,
    feature_table text NOT NULL,
    policy_version text NOT NULL,
    schema_version text NOT NULL,
    offsets json NOT NULL,
    account_manager_id text,
    group_id text,
    area_id text,
    signals_version text,
    held_out boolean NOT NULL
);
INSERT INTO public.alerts VALUES ('alert-a', 's_a', 'service_fault', 1, 500, 'firing', 'high', 'mid', 0.30000000000000004, 1000, 1, 'a-fired-1000', false);
INSERT INTO public.alerts VALUES ('alert-b', 's_b', 'service_fault', 1, 500, 'pending', 'high', 'mid', 0.30000000000000004, 700, 0, 'b-opened-700', false);
INSERT INTO public.dead_letters VALUES ('usage', 0, 5, 'not_json', 'no', '\xff00');
INSERT INTO public.dead_letters VALUES ('-', 0, 6, 'empty', '', '\x');
INSERT INTO public.example_features VALUES ('e1', 'f00d', '\x000000000000f03f0000000000000040');
INSERT INTO public.example_features VALUES ('e2', 'f00d', '\x000000000000f03f0000000000000040');
INSERT INTO public.forewarn VALUES (1, 3);
INSERT INTO public.late_events VALUES ('usage', 0, 3, 's_a', 'ev3', 4, 86400);
INSERT INTO public.market_events VALUES ('d95ca40a9736595c0ae9f395b01acd8965bb7303cebbc6d7698cad98ff17aff3', 'p1', 0, 7, '{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":0,"cancelled":false}');
INSERT INTO public.market_events VALUES ('856aebec636094b155f982bd6340492476f4b5f46648ce2314e3aaf950c61d83', 'p1', 1, 9, '{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":1,"cancelled":true}');
INSERT INTO public.models VALUES ('champion', 1, '9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00', 7000, '{"name":"champion","version":1,"parent":null,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00"}');
INSERT INTO public.models VALUES ('champion', 2, 'b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8', 7000, '{"name":"champion","version":2,"parent":1,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8"}');
INSERT INTO public.positions VALUES ('usage/0', 1, 100, 200);
INSERT INTO public.predictions VALUES ('e1', 's_1', 1000, 0.3333333333333333, true, 'stayed', 'scorecard-00000000', 5000, 6000, 'none', false, NULL);
INSERT INTO public.predictions VALUES ('e2', 's_2', 2000, 0.3333333333333333, false, 'stayed', 'scorecard-00000000', 5000, 6000, 'none', false, NULL);
INSERT INTO public.promotions VALUES (0, 9, '9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617', '{"at_ms":9,"from":"champion","to":"hazard","by":"operator","evidence":{"weeks":4.0},"hash":"9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617"}');
INSERT INTO public.promotions VALUES (1, 9, '580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf', '{"at_ms":9,"from":"champion","to":"champion-1-01234567","by":"operator","evidence":{"weeks":4.0},"hash":"580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf"}');
INSERT INTO public.run VALUES (1, 'dump/', '{"every":1,"names":["a"]}', '{"hold_hours":24.5}', 'policy-1', 'f00d', 1700000000000, 1700000000001, 1000, '{"events":1}', 1);
INSERT INTO public.states VALUES ('s_a', '\x6f6e65');
INSERT INTO public.states VALUES ('s_b', '\x0074776f');
INSERT INTO public.trainer VALUES (1, '\x7b227175657565223a5b5d7d');
INSERT INTO public.transitions VALUES ('a-opened-500', 'alert-a', 's_a', 'service_fault', 1, 'pending', 'opened', 0, 'probability above the threshold for 24 hours', 500, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false);
INSERT INTO public.transitions VALUES ('a-fired-1000', 'alert-a', 's_a', 'service_fault', 1, 'firing', 'fired', 1, 'probability above the threshold for 24 hours', 1000, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false);
INSERT INTO public.transitions VALUES ('b-opened-700', 'alert-b', 's_b', 'service_fault', 1, 'pending', 'opened', 0, 'probability above the threshold for 24 hours', 700, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (alert_id);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (topic, partition, "offset");
ALTER TABLE ONLY public.example_features
    ADD CONSTRAINT example_features_pkey PRIMARY KEY (example_id);
ALTER TABLE ONLY public.forewarn
    ADD CONSTRAINT forewarn_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.late_events
    ADD CONSTRAINT late_events_pkey PRIMARY KEY (topic, partition, "offset");
ALTER TABLE ONLY public.market_events
    ADD CONSTRAINT market_events_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (name, version);
ALTER TABLE ONLY public.positions
    ADD CONSTRAINT positions_pkey PRIMARY KEY (source);
ALTER TABLE ONLY public.predictions
    ADD CONSTRAINT predictions_pkey PRIMARY KEY (example_id);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT promotions_hash_key UNIQUE (hash);
ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT promotions_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (subscriber_id);
ALTER TABLE ONLY public.trainer
    ADD CONSTRAINT trainer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (transition_id);
CREATE INDEX alerts_by_state ON public.alerts USING btree (state, probability);
CREATE INDEX alerts_by_subscriber ON public.alerts USING btree (subscriber_id);
CREATE INDEX transitions_by_alert ON public.transitions USING btree (alert_id, at_ms);
