"""What people pass as data, and what they are told otherwise."""

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError
from mixop.data import Digits, digits
from mixop.data.given import given


class Pairs(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 30

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 4, 4), float(i)), i % 3


def test_data_a_source_and_a_data_set_are_data():
    data = digits()
    assert given(data) is data
    assert given(Digits()).fingerprint == data.fingerprint
    made = given(Pairs())
    assert (made.shape, made.task.outputs, len(made.examples)) == ((1, 4, 4), 3, 30)


@pytest.mark.parametrize("wrong", [None, (np.zeros((3, 1, 4, 4)), np.zeros(3)), 7, iter([1])])
def test_anything_else_is_refused_in_a_sentence(wrong):
    with pytest.raises(DataError, match=r"data must be a mixop\.data\.Data, .*, got .+: make one with"):
        given(wrong)


def test_a_path_is_refused_with_what_loads_it():
    with pytest.raises(DataError, match=r"got the path 'digits': load it with mixop\.data\.from_folder\('digits'\)"):
        given("digits")
