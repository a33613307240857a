"""The settings of daemon and command: their names, what they may be, and who says so.

    flag  >  environment variable  >  config.toml  >  default

Pure functions over text and mappings, standard library only: `holdfast config`, `holdfast doctor` and
`holdfastd` judge a file by the same code, and a client need not import the daemon for it. Who reads the file
is the caller.

`key` is one setting, `table` all of the daemon's (generated from its types), `command_keys` those of the
command, `document` the file's text, `resolve` the layers.
"""
