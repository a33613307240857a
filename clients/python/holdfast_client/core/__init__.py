"""What the async and the blocking library share: decisions without I/O, tasks or clock.

`calls` (what was asked and not answered), `tail` and `follows` (cursors and what came after them), `resend`
(what may be asked twice), `hosted` (functions as tools), `run_result` (the fold of a run), `requirement`,
`back_off`.
"""
