-- The history of files.

-- name: add_event
INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why, seconds, rows)
VALUES (:file_id, :what, :from_state, :to_state, :stage, :attempt, :who, :why, :seconds, :rows);

-- name: add_events
INSERT INTO file_events (file_id, what, from_state, to_state, stage, attempt, who, why, seconds, rows)
SELECT e.file_id, e.what, e.from_state, e.to_state, e.stage, e.attempt, :who, e.why, e.seconds, e.rows
  FROM unnest(CAST(:file_id AS bigint[]), CAST(:what AS text[]), CAST(:from_state AS text[]),
              CAST(:to_state AS text[]), CAST(:stage AS text[]), CAST(:attempt AS int[]),
              CAST(:why AS text[]), CAST(:seconds AS double precision[]), CAST(:rows AS bigint[]))
       WITH ORDINALITY
       AS e(file_id, what, from_state, to_state, stage, attempt, why, seconds, rows, place)
 ORDER BY e.place;

-- name: forget
SELECT forget_events(:source, :age, :limit);

-- name: history
SELECT at, what, from_state, to_state, stage, attempt, who, why, seconds, rows
  FROM file_events WHERE file_id = :id ORDER BY id;
