"""What `holdfast doctor` looks at, a file per group. Standard library only; acts on nothing but `--fix`.

No check signals a process, calls a cloud, opens the log's database, or says the value of a secret.
"""
