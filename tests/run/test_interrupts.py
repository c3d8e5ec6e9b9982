"""An interrupt that Python drops ends a run all the same."""

import signal
import threading

import pytest

from roomgen.run.interrupts import kept_interrupts


class Interrupted:
    """Is interrupted while it is finalized."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_within_a_finalizer_is_told_at_the_next_look():
    with kept_interrupts() as check:
        check()
        lost = Interrupted()
        del lost  # Python prints the KeyboardInterrupt and goes on
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_any_other_interrupt_raises_at_once():
    with pytest.raises(KeyboardInterrupt), kept_interrupts():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_has_a_handler_keeps_it_and_threads_change_none():
    def mine(number, frame):
        heard.append(number)

    heard = []
    before = signal.signal(signal.SIGINT, mine)
    try:
        with kept_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]

    def elsewhere():
        with kept_interrupts() as check:
            check()
        done.append(True)

    done = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done
