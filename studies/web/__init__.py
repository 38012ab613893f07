"""The studies in a browser: one process that serves pages of our own and, beside them, optuna-dashboard.

serve       the server: address, TLS, and that nobody comes in who should not; `patience` with slow clients
app         every path; `gate` stands before them: who comes in, how much, and the headers on every answer
access      who asks, and whether they may; `passwords` hashes and counts, `entering` is the page to log in
looking     the pages that show, and `following` while they change; `curves` draws, `metrics` is for Prometheus
logs        what workers and programs print, as it comes
api         the same for scripts, in JSON, with its OpenAPI description
acting      what an editor may do  <- ADD AN ACTION: one entry of `ACTIONS`, and a command of the same name
forms       the page of each action, and what any form may bring
watching    tells others of a study that nobody works on any more
background  a task in a thread beside the server: `watching`, `gallery`
site        what every page works with; the pages themselves are in `templates`
dashboard   optuna-dashboard on this storage; `mounted` passes requests to it, `gallery` keeps its figures up to date
"""
