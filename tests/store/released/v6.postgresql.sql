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
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
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
    held_out boolean NOT NULL,
    is_firing boolean DEFAULT false NOT NULL,
    urgency double precision DEFAULT 0 NOT NULL,
    fired_at_ms bigint
);
CREATE TABLE public.attempts (
    delivery_id character varying(64) NOT NULL,
    attempt integer NOT NULL,
    began_ms bigint NOT NULL,
    took_ms integer NOT NULL,
    status integer,
    outcome text NOT NULL,
    why text NOT NULL,
    answer text NOT NULL
);
CREATE TABLE public.consumed (
    topic character varying(249) NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL
);
CREATE TABLE public.cool_downs (
    subscriber_id character varying(128) NOT NULL,
    kind character varying(32) NOT NULL,
    channel character varying(64) NOT NULL,
    alert_id character varying(128) NOT NULL,
    event_ms bigint NOT NULL
);
CREATE TABLE public.dead_letters (
    topic character varying(249) NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    value bytea NOT NULL
);
CREATE TABLE public.deliveries (
    number bigint NOT NULL,
    delivery_id character varying(64) NOT NULL,
    endpoint character varying(64) NOT NULL,
    message_id character varying(128) NOT NULL,
    alert_id character varying(128) NOT NULL,
    state text NOT NULL,
    why text NOT NULL,
    rank double precision NOT NULL,
    attempts integer NOT NULL,
    next_attempt_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    created_ms bigint NOT NULL,
    finished_ms bigint,
    lease_owner character varying(64),
    lease_until_ms bigint,
    suppressed_by text
);
CREATE SEQUENCE public.deliveries_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.deliveries_number_seq OWNED BY public.deliveries.number;
CREATE TABLE public.digests (
    account_manager_id character varying(128) NOT NULL,
    channel character varying(16) NOT NULL,
    day integer NOT NULL,
    until_ms bigint NOT NULL,
    message_id character varying(255) NOT NULL,
    sent_ms bigint NOT NULL
);
CREATE TABLE public.endpoint_audit (
    number bigint NOT NULL,
    name character varying(64) NOT NULL,
    at_ms bigint NOT NULL,
    change text NOT NULL,
    why text NOT NULL
);
CREATE SEQUENCE public.endpoint_audit_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.endpoint_audit_number_seq OWNED BY public.endpoint_audit.number;
CREATE TABLE public.endpoints (
    name character varying(64) NOT NULL,
    config json NOT NULL,
    sealed bytea,
    state text NOT NULL,
    why text NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    circuit text NOT NULL,
    failures integer NOT NULL,
    first_failure_ms bigint,
    open_until_ms bigint,
    warned_percent integer NOT NULL
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
CREATE TABLE public.messages (
    message_id character varying(128) NOT NULL,
    alert_id character varying(128) NOT NULL,
    type text NOT NULL,
    event_ms bigint NOT NULL,
    transition_id character varying(128) NOT NULL,
    work_event_id character varying(128),
    created_ms bigint NOT NULL
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
CREATE TABLE public.reported (
    event_id character varying(64) NOT NULL,
    subscriber_id character varying(128) NOT NULL,
    created_ms bigint NOT NULL,
    body bytea NOT NULL,
    sent_ms bigint
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
CREATE TABLE public.slots (
    account_manager_id character varying(128) NOT NULL,
    day integer NOT NULL,
    alert_id character varying(128) NOT NULL,
    rank double precision NOT NULL
);
CREATE TABLE public.snapshots (
    subscriber_id character varying(128) NOT NULL,
    at_ms bigint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.states (
    subscriber_id character varying(128) NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.tickets (
    alert_id character varying(128) NOT NULL,
    endpoint character varying(64) NOT NULL,
    external_id text,
    external_ref text,
    told_ms bigint NOT NULL,
    last_message_id character varying(128) NOT NULL,
    resolved boolean NOT NULL
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
    held_out boolean NOT NULL,
    contact_allowed boolean DEFAULT true NOT NULL,
    why_code text,
    action_code text
);
CREATE TABLE public.work (
    alert_id character varying(128) NOT NULL,
    state text NOT NULL,
    assignee text,
    note text,
    snoozed_until_ms bigint,
    snooze_reason text,
    outcome text,
    outcome_reason text,
    updated_ms bigint NOT NULL,
    version integer NOT NULL
);
CREATE TABLE public.work_events (
    work_event_id character varying(128) NOT NULL,
    alert_id character varying(128) NOT NULL,
    at_ms bigint NOT NULL,
    act text NOT NULL,
    origin character varying(128) NOT NULL,
    body json NOT NULL
);
ALTER TABLE ONLY public.deliveries ALTER COLUMN number SET DEFAULT nextval('public.deliveries_number_seq'::regclass);
ALTER TABLE ONLY public.endpoint_audit ALTER COLUMN number SET DEFAULT nextval('public.endpoint_audit_number_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0006');
INSERT INTO public.alerts VALUES ('alert-b', 's_b', 'service_fault', 1, 500, 'pending', 'high', 'mid', 0.30000000000000004, 700, 0, 'b-opened-700', false, false, 3703703670.6000004, NULL);
INSERT INTO public.alerts VALUES ('alert-d', 's_d', 'service_fault', 1, 500, 'inactive', 'high', 'mid', 0.30000000000000004, 900, 4, 'd-dropped-900', false, false, 3703703670.6000004, NULL);
INSERT INTO public.alerts VALUES ('alert-a', 's_a', 'service_fault', 1, 500, 'firing', 'high', 'mid', 0.30000000000000004, 1000, 1, 'a-fired-1000', false, true, 3703703670.6000004, 1000);
INSERT INTO public.alerts VALUES ('alert-c', 's_c', 'service_fault', 1, 500, 'firing', 'high', 'mid', 0.9, 800, 1, 'c-fired-800', true, true, 0.9, 800);
INSERT INTO public.alerts VALUES ('alert-e', 's_e', 'service_fault', 1, 500, 'resolved', 'high', 'mid', 0.30000000000000004, 2000, 5, 'e-resolved-2000', false, false, 30.300000000000004, 900);
INSERT INTO public.alerts VALUES ('alert-f', 's_f', 'service_fault', 1, 500, 'firing', 'high', 'mid', 0.30000000000000004, 950, 1, 'f-fired-950', false, true, 3703703670.6000004, 950);
INSERT INTO public.alerts VALUES ('alert-g', 's_g', 'service_fault', 1, 500, 'firing', 'critical', 'mid', 0.30000000000000004, 1960, 2, 'g-worsened-1960', false, true, 15.300000000000002, 960);
INSERT INTO public.cool_downs VALUES ('s_a', 'service_fault', 'alerts', 'alert-a', 1000);
INSERT INTO public.cool_downs VALUES ('s_e', 'service_fault', 'alerts', 'alert-e', 900);
INSERT INTO public.dead_letters VALUES ('usage', 0, 5, 'not_json', 'no', '\xff00');
INSERT INTO public.dead_letters VALUES ('-', 0, 6, 'empty', '', '\x');
INSERT INTO public.deliveries VALUES (1, 'd_c6031cb901300c05049e2a1f6583da8a', 'crm', 'a-fired-1000', 'alert-a', 'pending', '', 3703703670.3000007, 0, 5000, 288005000, 5000, NULL, NULL, NULL, NULL);
INSERT INTO public.deliveries VALUES (2, 'd_f8adfbcf307cb179aec3b048c6fae7e7', 'crm', 'c-fired-800', 'alert-c', 'suppressed', 'held_out: nobody is told of this subscriber, so that the others can be compared with them', 0, 0, 5000, 288005000, 5000, 5000, NULL, NULL, 'held_out');
INSERT INTO public.deliveries VALUES (3, 'd_f4217d12687cd1fbdf68d88ab801fdac', 'crm', 'e-fired-900', 'alert-e', 'pending', '', 30.000000000000004, 0, 5000, 288005000, 5000, NULL, NULL, NULL, NULL);
INSERT INTO public.deliveries VALUES (4, 'd_4aaf91de135de8130174a5e85631f782', 'crm', 'e-resolved-2000', 'alert-e', 'pending', '', 30.000000000000004, 0, 5000, 288005000, 5000, NULL, NULL, NULL, NULL);
INSERT INTO public.deliveries VALUES (5, 'd_6853540e7821f986b1d16f258d98d84c', 'crm', 'f-fired-950', 'alert-f', 'suppressed', 'contact_not_allowed: the subscriber does not want to be contacted', 3703703670.3000007, 0, 5000, 288005000, 5000, 5000, NULL, NULL, 'contact_not_allowed');
INSERT INTO public.deliveries VALUES (6, 'd_45b4bb1228bfb6b3f048ce17d8511051', 'crm', 'g-fired-960', 'alert-g', 'suppressed', 'capacity: the account manager''s day is full of alerts that are worth more', 15.000000000000002, 0, 5000, 288005000, 5000, 5000, NULL, NULL, 'capacity');
INSERT INTO public.deliveries VALUES (7, 'd_8856b801c13d4ea187467ad32037fbac', 'crm', 'g-worsened-1960', 'alert-g', 'suppressed', 'capacity: the account manager''s day is full of alerts that are worth more', 15.000000000000002, 0, 5000, 288005000, 5000, 5000, NULL, NULL, 'capacity');
INSERT INTO public.endpoint_audit VALUES (1, 'crm', 5000, 'added', 'standard');
INSERT INTO public.endpoints VALUES ('crm', '{"name":"crm","preset":"standard","url":"https://crm.example","coalesce":false}', NULL, 'active', '', 5000, 5000, 'closed', 0, NULL, NULL, 0);
INSERT INTO public.example_features VALUES ('e1', 'f00d', '\x000000000000f03f0000000000000040');
INSERT INTO public.example_features VALUES ('e2', 'f00d', '\x000000000000f03f0000000000000040');
INSERT INTO public.forewarn VALUES (1, 6);
INSERT INTO public.late_events VALUES ('usage', 0, 3, 's_a', 'ev3', 4, 86400);
INSERT INTO public.market_events VALUES ('d95ca40a9736595c0ae9f395b01acd8965bb7303cebbc6d7698cad98ff17aff3', 'p1', 0, 7, '{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":0,"cancelled":false}');
INSERT INTO public.market_events VALUES ('856aebec636094b155f982bd6340492476f4b5f46648ce2314e3aaf950c61d83', 'p1', 1, 9, '{"event_id":"m1","event_time":"2024-05-01T00:00:00+08:00","entry_id":"p1","entry_type":"competitor_promotion","operator":null,"area_ids":["north"],"segments":["youth"],"valid_from":"2024-05-01T00:00:00+08:00","valid_to":null,"headline_price_minor":null,"discount_pct":null,"switching_bonus_minor":null,"confidence":"reported","source":"watch","revision":1,"cancelled":true}');
INSERT INTO public.messages VALUES ('a-fired-1000', 'alert-a', 'alert.fired', 1000, 'a-fired-1000', NULL, 5000);
INSERT INTO public.messages VALUES ('c-fired-800', 'alert-c', 'alert.fired', 800, 'c-fired-800', NULL, 5000);
INSERT INTO public.messages VALUES ('e-fired-900', 'alert-e', 'alert.fired', 900, 'e-fired-900', NULL, 5000);
INSERT INTO public.messages VALUES ('e-resolved-2000', 'alert-e', 'alert.resolved', 2000, 'e-resolved-2000', NULL, 5000);
INSERT INTO public.messages VALUES ('f-fired-950', 'alert-f', 'alert.fired', 950, 'f-fired-950', NULL, 5000);
INSERT INTO public.messages VALUES ('g-fired-960', 'alert-g', 'alert.fired', 960, 'g-fired-960', NULL, 5000);
INSERT INTO public.messages VALUES ('g-worsened-1960', 'alert-g', 'alert.worsened', 1960, 'g-worsened-1960', NULL, 5000);
INSERT INTO public.models VALUES ('champion', 1, '9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00', 7000, '{"name":"champion","version":1,"parent":null,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"9cbe45f39b5d3481c8e6e5e4b3235a95512bd4c5e37c7718993b43c2249c1d00"}');
INSERT INTO public.models VALUES ('champion', 2, 'b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8', 7000, '{"name":"champion","version":2,"parent":1,"feature_table":"f00d","features":["a","b"],"intercept":-3.0,"weights":[0.1,1e-17],"means":[0.3,2.0],"scales":[1.0,0.0],"published_at_ms":7000,"examples":10,"positives":2,"source_position":10,"metrics":{"log_loss":0.1},"hash":"b6c580a6ff70e46e22e32187d99bc4bc1e0b3d31a1a0f4483b464931923515c8"}');
INSERT INTO public.positions VALUES ('usage/0', 1, 100, 200);
INSERT INTO public.predictions VALUES ('e1', 's_1', 1000, 0.3333333333333333, true, 'stayed', 'scorecard-00000000', 5000, 6000, 'none', false, NULL);
INSERT INTO public.predictions VALUES ('e2', 's_2', 2000, 0.3333333333333333, false, 'stayed', 'scorecard-00000000', 5000, 6000, 'none', false, NULL);
INSERT INTO public.promotions VALUES (0, 9, '9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617', '{"at_ms":9,"from":"champion","to":"hazard","by":"operator","evidence":{"weeks":4.0},"hash":"9f2848c20c2eb434ff9ebc15d2a7af1aa44a9d78eba22f0fd4de04126bbcc617"}');
INSERT INTO public.promotions VALUES (1, 9, '580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf', '{"at_ms":9,"from":"champion","to":"champion-1-01234567","by":"operator","evidence":{"weeks":4.0},"hash":"580c1c128cd44f1f87acefee0a09699c87def8be8925e7c338b7c6be2dac8fcf"}');
INSERT INTO public.run VALUES (1, 'dump/', '{"every":1,"names":["a"]}', '{"hold_hours":24.5}', 'policy-1', 'f00d', 1700000000000, 1700000000001, 1000, '{"events":1}', 1);
INSERT INTO public.slots VALUES ('m1', 0, 'alert-a', 3703703670.3000007);
INSERT INTO public.slots VALUES ('m1', 0, 'alert-e', 30.000000000000004);
INSERT INTO public.snapshots VALUES ('s_b', 5, '\x00626f6479');
INSERT INTO public.snapshots VALUES ('s_a', 5, '\x61');
INSERT INTO public.snapshots VALUES ('s_a', 7, '\x62');
INSERT INTO public.states VALUES ('s_a', '\x6f6e65');
INSERT INTO public.states VALUES ('s_b', '\x0074776f');
INSERT INTO public.trainer VALUES (1, '\x7b227175657565223a5b5d7d');
INSERT INTO public.transitions VALUES ('a-opened-500', 'alert-a', 's_a', 'service_fault', 1, 'pending', 'opened', 0, 'the risk reached the opening threshold', 500, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'Call, ask what changed, offer a plan that fits the present use', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'threshold_reached', 'offer_fitting_plan');
INSERT INTO public.transitions VALUES ('a-fired-1000', 'alert-a', 's_a', 'service_fault', 1, 'firing', 'fired', 1, 'the risk stayed above the opening threshold for the hold time', 1000, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'Call, ask what changed, offer a plan that fits the present use', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'hold_time_elapsed', 'offer_fitting_plan');
INSERT INTO public.transitions VALUES ('b-opened-700', 'alert-b', 's_b', 'service_fault', 1, 'pending', 'opened', 0, 'probability above the threshold for 24 hours', 700, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, NULL, NULL);
INSERT INTO public.transitions VALUES ('c-fired-800', 'alert-c', 's_c', 'service_fault', 1, 'firing', 'fired', 1, 'the risk reached the opening threshold', 800, 500, 0.9, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 0, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, true, true, 'threshold_reached', NULL);
INSERT INTO public.transitions VALUES ('d-opened-600', 'alert-d', 's_d', 'service_fault', 1, 'pending', 'opened', 0, 'the risk reached the opening threshold', 600, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'threshold_reached', NULL);
INSERT INTO public.transitions VALUES ('d-dropped-900', 'alert-d', 's_d', 'service_fault', 1, 'inactive', 'dropped', 4, 'profiling consent was withdrawn', 900, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'consent_withdrawn', NULL);
INSERT INTO public.transitions VALUES ('e-fired-900', 'alert-e', 's_e', 'service_fault', 1, 'firing', 'fired', 1, 'the risk stayed above the opening threshold for the hold time', 900, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 100, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'Call, ask what changed, offer a plan that fits the present use', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'hold_time_elapsed', 'offer_fitting_plan');
INSERT INTO public.transitions VALUES ('e-resolved-2000', 'alert-e', 's_e', 'service_fault', 1, 'resolved', 'resolved', 5, 'the subscriber left', 2000, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 100, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'Call, ask what changed, offer a plan that fits the present use', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'subscriber_left', 'offer_fitting_plan');
INSERT INTO public.transitions VALUES ('f-fired-950', 'alert-f', 's_f', 'service_fault', 1, 'firing', 'fired', 1, 'the risk stayed above the opening threshold for the hold time', 950, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 12345678901, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, false, 'hold_time_elapsed', NULL);
INSERT INTO public.transitions VALUES ('g-fired-960', 'alert-g', 's_g', 'service_fault', 1, 'firing', 'fired', 1, 'the risk stayed above the opening threshold for the hold time', 960, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'high', 'mid', 50, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'hold_time_elapsed', NULL);
INSERT INTO public.transitions VALUES ('g-worsened-1960', 'alert-g', 's_g', 'service_fault', 1, 'firing', 'worsened', 2, 'the risk rose to a higher band', 1960, 500, 0.30000000000000004, -0.8472978603872034, -3.5, 0.25, 'critical', 'mid', 50, 'EUR', '[{"code":"drops_up","theme":"network","contribution":0.3333333333333333,"features":{"drops_7d":0.1},"evidence":[{"measure":"drops","unit":"1","value":7.0,"baseline":null,"window_days":7}],"change":null,"since_ms":null},{"code":"quiet","theme":"use","contribution":1e-300,"features":{},"evidence":[],"change":null,"since_ms":null}]', 'call', 2000, 'champion-1-abcdef01', 'f00d', 'policy-1', 'contracts-1', '{"0":17,"131075":4}', 'm1', NULL, NULL, NULL, false, true, 'band_rose', NULL);
SELECT pg_catalog.setval('public.deliveries_number_seq', 7, true);
SELECT pg_catalog.setval('public.endpoint_audit_number_seq', 1, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (alert_id);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (delivery_id, attempt);
ALTER TABLE ONLY public.consumed
    ADD CONSTRAINT consumed_pkey PRIMARY KEY (topic, partition);
ALTER TABLE ONLY public.cool_downs
    ADD CONSTRAINT cool_downs_pkey PRIMARY KEY (subscriber_id, kind, channel);
ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (topic, partition, "offset");
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_delivery_id_key UNIQUE (delivery_id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (account_manager_id, channel, day);
ALTER TABLE ONLY public.endpoint_audit
    ADD CONSTRAINT endpoint_audit_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.example_features
    ADD CONSTRAINT example_features_pkey PRIMARY KEY (example_id);
ALTER TABLE ONLY public.forewarn
    ADD CONSTRAINT forewarn_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.late_events
    ADD CONSTRAINT late_events_pkey PRIMARY KEY (topic, partition, "offset");
ALTER TABLE ONLY public.market_events
    ADD CONSTRAINT market_events_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (message_id);
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
ALTER TABLE ONLY public.reported
    ADD CONSTRAINT reported_pkey PRIMARY KEY (event_id);
ALTER TABLE ONLY public.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (account_manager_id, day, alert_id);
ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (subscriber_id, at_ms);
ALTER TABLE ONLY public.states
    ADD CONSTRAINT states_pkey PRIMARY KEY (subscriber_id);
ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (alert_id, endpoint);
ALTER TABLE ONLY public.trainer
    ADD CONSTRAINT trainer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (transition_id);
ALTER TABLE ONLY public.work_events
    ADD CONSTRAINT work_events_pkey PRIMARY KEY (work_event_id);
ALTER TABLE ONLY public.work
    ADD CONSTRAINT work_pkey PRIMARY KEY (alert_id);
CREATE INDEX alerts_by_state ON public.alerts USING btree (state, probability);
CREATE INDEX alerts_by_subscriber ON public.alerts USING btree (subscriber_id);
CREATE INDEX alerts_by_urgency ON public.alerts USING btree (held_out, is_firing, urgency, fired_at_ms);
CREATE INDEX deliveries_by_alert ON public.deliveries USING btree (alert_id);
CREATE INDEX deliveries_fresh ON public.deliveries USING btree (endpoint, rank DESC, number) WHERE ((state = 'pending'::text) AND (attempts = 0));
CREATE INDEX deliveries_in_order ON public.deliveries USING btree (endpoint, alert_id, number) WHERE (state = ANY (ARRAY['pending'::text, 'in_flight'::text, 'unknown'::text]));
CREATE UNIQUE INDEX deliveries_once ON public.deliveries USING btree (endpoint, message_id);
CREATE UNIQUE INDEX deliveries_one_in_flight ON public.deliveries USING btree (endpoint, alert_id) WHERE (state = 'in_flight'::text);
CREATE INDEX deliveries_tried ON public.deliveries USING btree (endpoint, next_attempt_ms, number) WHERE ((state = ANY (ARRAY['pending'::text, 'in_flight'::text, 'unknown'::text])) AND (attempts > 0));
CREATE INDEX messages_by_alert ON public.messages USING btree (alert_id, created_ms);
CREATE INDEX tickets_by_external ON public.tickets USING btree (endpoint, external_id) WHERE (external_id IS NOT NULL);
CREATE INDEX transitions_by_alert ON public.transitions USING btree (alert_id, at_ms);
CREATE INDEX work_events_by_alert ON public.work_events USING btree (alert_id, at_ms);
