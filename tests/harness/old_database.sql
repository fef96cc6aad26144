-- Two years of Airflow, about 117,000 rows: 40 DAGs with one run of one task per day.
--   old_0 to old_38  versions of 730, 300 and 5 days ago; the runs of the last 300 days use the second
--   old_39           removed from Git 200 days ago; its last run has a task that never started
BEGIN;
INSERT INTO dag_bundle (name, active) VALUES ('dags-folder', true) ON CONFLICT DO NOTHING;
INSERT INTO dag (dag_id, is_paused, is_stale, last_parsed_time, bundle_name, timetable_type,
                 max_active_tasks, max_consecutive_failed_dag_runs, has_task_concurrency_limits,
                 partition_mapper_info)
SELECT 'old_' || n, true, n = 39, now() - CASE n WHEN 39 THEN interval '200 days' ELSE '0' END,
       'dags-folder', 'airflow.timetables.trigger.CronTriggerTimetable', 16, 0, false, '[]'
FROM generate_series(0, 39) n;

INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)
SELECT md5(n || '/' || v)::uuid, v, 'old_' || n, 'dags-folder', made, made
FROM generate_series(0, 39) n,
     LATERAL (VALUES (1, now() - interval '730 days'), (2, now() - interval '300 days'),
                     (3, now() - interval '5 days')) version (v, made)
WHERE n < 39 OR v < 3;
INSERT INTO serialized_dag (id, dag_id, data, created_at, last_updated, dag_hash, dag_version_id)
SELECT id, dag_id, '{}', created_at, created_at, md5(id::text), id FROM dag_version
WHERE dag_id LIKE 'old\_%';

CREATE TEMP TABLE run ON COMMIT DROP AS
SELECT n, day, 'old_' || n AS dag_id, 'scheduled__' || day AS run_id,
       now() - day * interval '1 day' AS started,
       md5(n || '/' || CASE WHEN day < 5 AND n < 39 THEN 3 WHEN day < 300 THEN 2 ELSE 1 END)::uuid
         AS version
FROM generate_series(0, 39) n, generate_series(0, 729) day
WHERE n < 39 OR day >= 200;
INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, logical_date, start_date, end_date,
                     created_dag_version_id)
SELECT dag_id, run_id, 'scheduled', 'success', started, started, started, started, version FROM run;
INSERT INTO task_instance (id, dag_id, task_id, run_id, start_date, end_date, state, try_number, pool,
                           pool_slots, queue, dag_version_id)
SELECT md5(dag_id || run_id)::uuid, dag_id, 'answer', run_id, started, started, 'success', 1,
       'default_pool', 1, 'default', version
FROM run;
INSERT INTO task_instance (id, dag_id, task_id, run_id, state, try_number, pool, pool_slots, dag_version_id)
SELECT md5('never started')::uuid, dag_id, 'never_started', run_id, 'removed', 0, 'default_pool', 1, version
FROM run WHERE n = 39 AND day = 200;
INSERT INTO xcom (dag_run_id, task_id, key, dag_id, run_id, value, timestamp)
SELECT r.id, 'answer', 'return_value', r.dag_id, r.run_id, '42', r.start_date
FROM dag_run r JOIN run USING (dag_id, run_id);
INSERT INTO log (dttm, dag_id, task_id, run_id, event)
SELECT started, dag_id, 'answer', run_id, 'success' FROM run;

-- Old triggers that are in use: of an asset watcher, and of a callback.
INSERT INTO asset (id, name, uri, "group", extra, created_at, updated_at)
VALUES (-1, 'old', 'old', 'asset', '{}', now(), now());
INSERT INTO trigger (id, classpath, kwargs, created_date)
SELECT n, 'old', '', now() - interval '500 days' FROM generate_series(-2, -1) n;
INSERT INTO asset_watcher (name, asset_id, trigger_id) VALUES ('old', -1, -1);
INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at, trigger_id)
VALUES (md5('old')::uuid, 'triggerer', 'import_path', '{}', 'running', 1, now() - interval '500 days',
        -2);
COMMIT;
