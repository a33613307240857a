"""The catalogue makes models on first use and knows nothing of who asks."""

import pytest

from holdfast_daemon.models.base import Model
from holdfast_daemon.models.catalogue import Catalogue, CatalogueEntry
from holdfast_daemon.models.offline import OfflineModel
from holdfast_daemon.models.offline_info import INFO
from holdfast_protocol.methods.catalogue import ModelInfo


def test_the_offline_model_is_there_and_is_the_default() -> None:
    catalogue = Catalogue()
    assert catalogue.default == "offline/rehearsal"
    assert catalogue.models == (INFO,)
    model = catalogue.get(catalogue.default)
    assert model is not None
    assert model.info == INFO


def test_an_unknown_name_gives_none() -> None:
    assert Catalogue().get("offline/none") is None


def test_a_default_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no model nobody/none; there are: offline/rehearsal"):
        Catalogue("nobody/none")


def test_a_model_is_made_once_and_only_when_it_is_asked_for() -> None:
    made: list[Model] = []

    def make() -> Model:
        made.append(OfflineModel())
        return made[-1]

    info = ModelInfo(name="test/late", provider="test", description="Made late.")
    catalogue = Catalogue("test/late", (CatalogueEntry(info=info, make=make),))
    assert catalogue.models == (info,)
    assert made == []
    assert catalogue.get("test/late") is catalogue.get("test/late")
    assert len(made) == 1


def test_two_models_of_one_name_are_refused() -> None:
    entry = CatalogueEntry(info=INFO, make=OfflineModel)
    with pytest.raises(ValueError, match="two models"):
        Catalogue(entries=(entry, entry))
