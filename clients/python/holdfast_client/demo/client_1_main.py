"""Client 1 as a program (`client_1`). A module of its own: the package imports the other."""

import sys

import anyio

from holdfast_client.demo.client_1 import follow

if __name__ == "__main__":
    anyio.run(follow, sys.argv[1], sys.argv[2], *sys.argv[3:])
