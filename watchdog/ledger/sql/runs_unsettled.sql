-- A row: what one source told last of an attempt that a patrol may have to say more of: one that
-- runs, and an episode.
select *
from runs_told
where outcome = 'running'
    or source = 'episode'
