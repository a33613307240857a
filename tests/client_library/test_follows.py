"""One subscription of a session for all its readers (design 4: one per connection and session)."""

import gc

from logs import EPOCH, batch, taken

from holdfast_client.core.follows import Follow, Follows, Stage
from holdfast_client.core.tail import Tail
from holdfast_protocol.methods.subscribe import SessionSubscribeResult


def tail_at(cursor, epoch=EPOCH, **options):
    return Tail("s", cursor, epoch=epoch, on_change=lambda: None, **options)


def followed(cursor=0):
    follows = Follows()
    follow = follows.of("s")
    follow.started(SessionSubscribeResult(epoch=EPOCH, from_=cursor + 1, head=cursor, oldest=1))
    return follows, follow


def test_a_tail_at_the_subscriptions_cursor_shares_it():
    follows, follow = followed(5)
    tail = tail_at(5)
    assert follow.admit(tail)
    follows.receive(batch(6, 7))
    assert taken(tail) == [6, 7]


def test_a_tail_that_is_behind_must_read_first():
    _, follow = followed(5)
    assert not follow.admit(tail_at(4))


def test_a_tail_that_is_ahead_waits_for_what_is_new_to_it():
    follows, follow = followed(5)
    tail = tail_at(6)
    assert follow.admit(tail)
    follows.receive(batch(6, 8))
    assert taken(tail) == [7, 8]


def test_a_tail_of_another_log_does_not_share():
    _, follow = followed(5)
    assert not follow.admit(tail_at(5, epoch="other"))


def test_tails_at_different_speeds_each_get_all():
    follows, follow = followed()
    fast, slow = tail_at(0), tail_at(0, buffer_bytes_max=500)
    assert follow.admit(fast)
    assert follow.admit(slow)
    for first in range(1, 40, 3):
        follows.receive(batch(first, first + 2))
    assert taken(fast) == list(range(1, 40))
    assert not slow.live
    assert taken(slow) == list(range(1, slow.cursor + 1))


def test_a_batch_that_leaves_a_gap_is_not_believed():
    follows, follow = followed(5)
    tail = tail_at(5)
    follow.admit(tail)
    follows.receive(batch(7, 8))
    assert (follow.stage, tail.live, tail.cursor) == (Stage.NONE, False, 5)
    assert taken(tail) == []


def test_a_batch_that_comes_again_is_not_believed():
    follows, follow = followed(5)
    tail = tail_at(5)
    follow.admit(tail)
    follows.receive(batch(6, 7))
    follows.receive(batch(6, 7))
    assert not tail.live
    assert taken(tail) == [6, 7]


def test_batches_of_an_earlier_subscription_are_ignored():
    follows = Follows()
    follow = follows.of("s")
    follow.stage = Stage.SUBSCRIBING
    assert follows.receive(batch(1, 2)) is None
    assert follow.stage is Stage.SUBSCRIBING


def test_batches_of_another_session_are_ignored():
    follows, _ = followed()
    assert follows.receive(batch(1, 2, session_id="other")) is None


def test_a_gap_sends_all_tails_to_the_log():
    follows, follow = followed()
    tail = tail_at(0)
    follow.admit(tail)
    follows.gap("s")
    follows.gap("unknown")
    assert not tail.live


def test_a_lost_connection_sends_all_tails_to_the_log():
    follows, follow = followed()
    tail = tail_at(0)
    follow.admit(tail)
    follows.lost()
    assert not tail.live
    assert len(follows) == 0


def test_a_subscription_whose_last_reader_was_let_go_of_is_to_be_ended():
    follows, follow = followed()
    tail = tail_at(0)
    follow.admit(tail)
    assert follows.receive(batch(1, 2)) is None
    del tail
    gc.collect()
    assert follows.receive(batch(3, 4)) is follow


def test_a_follow_is_forgotten_once_it_is_neither_subscribed_nor_read():
    follows, follow = followed()
    follows.forget(follow)
    assert len(follows) == 1
    follow.end()
    follows.forget(Follow("s"))
    assert len(follows) == 1
    follows.forget(follow)
    assert len(follows) == 0
