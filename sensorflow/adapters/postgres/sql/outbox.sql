-- The outbox: decides for which files a message is sent next, and which messages were lost.

-- name: take_lease
-- Atomic claim: exactly one caller wins. Returns no row if another process holds the lease. ended: a
-- process that has certainly ended.
INSERT INTO leases AS l (name, owner, process, token, until)
VALUES (:name, :owner, :process, nextval('lease_tokens'),
        clock_timestamp() + make_interval(secs => :lease))
ON CONFLICT (name) DO UPDATE
   SET owner = excluded.owner, process = excluded.process, token = excluded.token,
       until = excluded.until
 WHERE l.until <= clock_timestamp() OR l.process = :ended
RETURNING token;

-- name: lease_holder
SELECT process FROM leases WHERE name = :name;

-- name: renew_lease
UPDATE leases SET until = clock_timestamp() + make_interval(secs => :lease)
 WHERE name = :name AND token = :token;

-- name: release_lease
UPDATE leases SET until = clock_timestamp() WHERE name = :name AND token = :token;

-- name: take_turn
-- Claims the next run of a periodic task: exactly one caller wins per interval. The claim also stays when
-- its process ends, and its token does not fence any writes.
INSERT INTO leases AS l (name, owner, process, token, until)
VALUES (:name, :owner, '', 0, clock_timestamp() + make_interval(secs => :every))
ON CONFLICT (name) DO UPDATE
   SET owner = excluded.owner, until = excluded.until
 WHERE l.until <= clock_timestamp() + make_interval(secs => :early)
    OR l.until > clock_timestamp() + make_interval(secs => :every)  -- the clock was set back
RETURNING name;

-- name: due
-- The pending files of one lane for which a message is sent next. The oldest files of a source come first.
-- Sources take turns: the source with the least work in flight (see `ports.outbox.estimated_work`), divided
-- by its weight, comes first. A file is chosen in any of three cases. First, the total work in flight is
-- below :window and fewer than :files files are in flight. Second, fewer than :least files are in flight,
-- so that no worker is idle. Third, in a :live lane, the file's source has nothing in flight or less than
-- its share of both limits, so that no source delays another. Upper limits: :large files of :large_bytes or
-- more in flight, the quota of the source, :max_in_flight files in total, :room files of this lane. Files
-- of paused sources are not chosen. :sources, :weights and :quotas describe the sources that have a weight
-- or a quota. The last LIMIT helps the planner, which would otherwise overestimate the join with files and
-- read the whole table.
WITH RECURSIVE flying AS MATERIALIZED (
    SELECT source, lane, size >= :large_bytes AS large,
           1 + least(size, :work_most) / :work_bytes AS work
      FROM files
     WHERE state IN ('pending', 'running') AND published_at IS NOT NULL
     LIMIT :max_in_flight),
waiting AS (
    (SELECT source FROM files
      WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
      ORDER BY source LIMIT 1)
    UNION ALL
    SELECT (SELECT f.source FROM files f
             WHERE f.state = 'pending' AND f.published_at IS NULL AND f.lane = :lane
               AND f.source > w.source
             ORDER BY f.source LIMIT 1)
      FROM waiting w WHERE w.source IS NOT NULL),
rules AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:weights AS float8[]), CAST(:quotas AS int[]))
                  AS r(source, weight, quota)),
sources AS MATERIALIZED (
    SELECT w.source, count(flying.source) AS files, coalesce(sum(flying.work), 0) AS held,
           coalesce(max(rules.weight), 1) AS weight,
           CASE WHEN max(rules.quota) IS NOT NULL  -- what is left of it
                THEN greatest(0, max(rules.quota) - count(flying.source)) END AS quota
      FROM waiting w LEFT JOIN rules USING (source) LEFT JOIN flying USING (source)
     WHERE w.source IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM source_controls c WHERE c.source = w.source AND c.mode = 'paused')
     GROUP BY w.source),
now_ AS MATERIALIZED (
    SELECT count(*) AS files, coalesce(sum(work), 0) AS work,
           count(*) FILTER (WHERE lane = :lane) AS of_lane,
           greatest(0, :large - count(*) FILTER (WHERE large)) AS large,
           (SELECT sum(weight) FROM sources) AS waiting_weight,
           (SELECT sum(coalesce(rules.weight, 1))
              FROM (SELECT source FROM sources UNION SELECT source FROM flying) s
              LEFT JOIN rules USING (source)) AS weight
      FROM flying),
ready AS (
    SELECT found.*, s.files, s.weight, s.quota,
           (s.held - found.work
            + sum(found.work) OVER (PARTITION BY found.source ORDER BY found.id)) / s.weight AS turn
      FROM sources s CROSS JOIN now_ CROSS JOIN LATERAL (
           SELECT least(:limit, s.quota,
                        greatest(:a_turn, CAST(:limit * s.weight / now_.waiting_weight AS int))) AS files) each
     CROSS JOIN LATERAL (
           (SELECT id, source, size, 1 + least(size, :work_most) / :work_bytes AS work, false AS large
              FROM files
             WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
               AND source = s.source AND size < :large_bytes
               AND (not_before IS NULL OR not_before <= now())
               AND NOT EXISTS (SELECT 1 FROM growths g JOIN files p ON p.id = g.follows
                                WHERE p.state IN ('pending', 'running') AND g.file_id = files.id)
             ORDER BY id LIMIT each.files)
           UNION ALL
           (SELECT id, source, size, 1 + least(size, :work_most) / :work_bytes, true
              FROM (SELECT id, source, size FROM files
                     WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
                       AND source = s.source AND now_.large > 0
                       AND (not_before IS NULL OR not_before <= now())
                       AND NOT EXISTS (
                           SELECT 1 FROM growths g JOIN files p ON p.id = g.follows
                            WHERE p.state IN ('pending', 'running') AND g.file_id = files.id)
                     ORDER BY id LIMIT each.files) first -- those behind many small ones have time
             WHERE size >= :large_bytes LIMIT now_.large)) found),
allowed AS (
    SELECT r.*, row_number() OVER (PARTITION BY source ORDER BY id) AS nth
      FROM (SELECT ready.*, row_number() OVER (PARTITION BY large ORDER BY turn, id) AS of_size
              FROM ready) r
     WHERE NOT large OR of_size <= (SELECT now_.large FROM now_)),
placed AS (
    SELECT id, turn, work, weight, files + nth AS nth, row_number() OVER by_turn AS place,
           sum(work) OVER by_turn AS total
      FROM allowed
     WHERE quota IS NULL OR nth <= quota  -- the others take no place
    WINDOW by_turn AS (ORDER BY turn, id)),
chosen AS (
    SELECT placed.id, turn FROM placed CROSS JOIN now_
     WHERE total <= :window - now_.work AND place <= :files - now_.files
        OR place <= :least - now_.files
        OR :live AND (turn = 0 OR turn + placed.work / placed.weight <= :window / now_.weight
                                  AND nth <= :files * placed.weight / now_.weight)
     ORDER BY turn, placed.id
     LIMIT (SELECT least(:limit, greatest(0, least(:max_in_flight - files, :room - of_lane)))
              FROM now_))
SELECT f.id, f.source, f.key, f.version, f.size, f.md5, f.landing, f.stage, f.landed_at, f.lane, f.trace_id,
       coalesce(f.lease_token, 0) AS token
  FROM chosen JOIN files f USING (id) ORDER BY turn, id
 LIMIT :limit;

-- name: pace
-- work: the work per second that the fleet has finished recently, while files waited for a message.
-- children: the maximum number of child processes of all workers that are alive.
SELECT CAST(coalesce(sum(1 + least(f.size, :work_most) / :work_bytes) FILTER (WHERE e.finished), 0)
            / greatest(0.5, extract(epoch FROM now() - min(e.at))) AS float8) AS work,
       (SELECT sum(CAST(state->>'most' AS int)) FROM heartbeats
         WHERE role = 'worker' AND beat_at > now() - make_interval(secs => :live)) AS children
  FROM (SELECT file_id, at, from_state = 'running' AND to_state <> 'pending' AS finished
          FROM file_events ORDER BY id DESC LIMIT :events) e
  LEFT JOIN files f ON e.finished AND f.id = e.file_id
 WHERE e.at > now() - make_interval(secs => :seconds)
   -- this query is frequent, so it examines nothing while no file is pending
   AND EXISTS (SELECT 1 FROM files WHERE state = 'pending' AND published_at IS NULL);

-- name: unfinished
-- Files that wait because their source is paused are not counted, unless the source is :source. The query
-- has two parts, so that two indexes are used.
SELECT (SELECT count(*) FROM files
         WHERE state = 'pending' AND published_at IS NULL AND lane = :lane
           AND (source = :source OR source NOT IN (
                SELECT c.source FROM source_controls c WHERE c.mode = 'paused')))
     + (SELECT count(*) FROM files
         WHERE state IN ('pending', 'running') AND published_at IS NOT NULL AND lane = :lane);

-- name: published
-- Run this after the broker has confirmed the messages. If a file was claimed in the meantime, and perhaps
-- nacked, it has another token and is skipped: its next message is still to be sent. Claims lock rows in
-- the same order, which prevents a deadlock.
WITH sent AS (
    SELECT f.id, s.sent_with
      FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[]), CAST(:carriers AS bigint[]))
           AS s(id, token, sent_with) JOIN files f USING (id)
     WHERE coalesce(f.lease_token, 0) = s.token AND f.published_at IS NULL AND f.state = 'pending'
     ORDER BY f.id FOR UPDATE OF f),
done AS (
    UPDATE files f SET published_at = now(), sent_with = sent.sent_with
      FROM sent
     WHERE f.id = sent.id AND f.published_at IS NULL AND f.state = 'pending'
    RETURNING f.id, f.stage, f.attempts)
INSERT INTO file_events (file_id, what, stage, attempt, who)
SELECT id, 'published', stage, attempts, :who FROM done;

-- name: expire
-- Makes files with expired leases pending again. The workers with these leases have ended, or will be
-- fenced. Within :grace seconds after the start of the server nothing is done, because the workers may be
-- alive and have had no chance to reconnect yet.
WITH expired AS (
    UPDATE files SET state = 'pending', lease_until = NULL, progress_bytes = NULL, progress_rows = NULL,
       published_at = NULL
     WHERE id IN (SELECT id FROM files
                   WHERE state = 'running' AND lease_until < now()
                     AND pg_postmaster_start_time() < now() - make_interval(secs => :grace)
                   FOR UPDATE SKIP LOCKED)
    RETURNING id, stage, attempts, lease_owner),
told AS (
    INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why)
    SELECT id, 'lease expired', 'running', 'pending', stage, attempts, :who,
           'held by ' || lease_owner
      FROM expired)
SELECT count(*) FROM expired;

-- name: waiting_messages
-- Number of messages that were sent and not received yet, according to the ledger. If no message was lost,
-- the broker has at least this number of messages.
SELECT count(DISTINCT coalesce(sent_with, id)) FROM files
 WHERE state = 'pending' AND published_at IS NOT NULL;

-- name: stale
-- Marks messages as not sent if they were sent more than :stale_after seconds ago and not received,
-- because they may be lost. At most :lost messages, oldest first.
WITH old AS MATERIALIZED (
    SELECT id, dense_rank() OVER (ORDER BY since, message) AS place
      FROM (SELECT id, coalesce(sent_with, id) AS message,
                   min(published_at) OVER (PARTITION BY coalesce(sent_with, id)) AS since
              FROM files
             WHERE state = 'pending'
               AND published_at < now() - make_interval(secs => :stale_after)) o),
lost AS (
    UPDATE files SET published_at = NULL
     WHERE id IN (SELECT f.id FROM files f JOIN old USING (id)
                   WHERE old.place <= :lost AND f.state = 'pending'
                     AND f.published_at < now() - make_interval(secs => :stale_after)
                   FOR UPDATE OF f SKIP LOCKED)
    RETURNING id, stage, attempts),
told AS (
    INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why)
    SELECT id, 'message missing', 'pending', 'pending', stage, attempts, :who,
           'not taken after ' || :stale_after || ' s'
      FROM lost)
SELECT count(*) FROM lost;
