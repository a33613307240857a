"""Public names are those in `__all__`, and all of them are there."""

import importlib
import pkgutil
import types

import pytest

import holdfast_protocol

MODULES = [
    importlib.import_module(info.name)
    for info in pkgutil.walk_packages(holdfast_protocol.__path__, "holdfast_protocol.")
]

EXPORTING = [module for module in MODULES if hasattr(module, "__all__")]

PACKAGES = [module for module in EXPORTING if hasattr(module, "__path__")]


def test_packages_that_gather_names_say_which_they_export():
    assert [module.__name__ for module in PACKAGES] == [
        "holdfast_protocol.events",
        "holdfast_protocol.methods",
    ]


@pytest.mark.parametrize("module", EXPORTING, ids=lambda module: module.__name__)
def test_every_exported_name_exists_once(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_of_a_package_is_exported(package):
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(package.__all__)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_says_what_it_is(module):
    assert module.__doc__
