"""Workers on other machines, reached by OpenSSH's own client.

launcher     `SshLauncher`: which machine gets how many workers
machine      one machine as its launcher sees it: prepared, connected, cut, connected again, given up, back
connection   one ssh process with a Python at its other end
remote       that Python: sent as text, for nothing is installed there yet
kept         what lasts there: code and environments, made once, and removed when nobody uses them any more
supervisor   what stays there when a connection is cut: a `LocalLauncher`, and the end of all its workers
readiness    what a machine lacks, in a sentence
files        what is sent: this package, the code of the working directory
packages     what is installed there: the same versions as here
tunnel       how workers reach the launcher's storage through the connection

wanted       the state that a launcher wants of a machine; `where` reads which machines there are
guard        keeps the embedded server for workers that it cannot see

One connection a machine carries everything. Messages are lines of JSON. The launcher says what should be (`Wanted`) and
not what to do, so that it can say it again after a cut.
"""
