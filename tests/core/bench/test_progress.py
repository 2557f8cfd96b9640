"""The line that tells how far a bench is: what was kept says nothing of how long the rest takes."""

from vmt.bench.progress import Progress


def test_time_left_is_that_of_what_is_made():
    progress = Progress(total=12, to_make=6)
    told = [str(progress)]
    for seconds in (None, None, None, 60.0, None, 120.0, None, 90.0, 90.0, None, 90.0, 90.0):
        progress.add(seconds)
        told.append(str(progress))
    assert told[0] == "0/12 runs, 0 of them made in 0 s, 6 left to make"
    assert told[3] == "3/12 runs, 0 of them made in 0 s, 6 left to make", "nobody knows yet how long one takes"
    assert told[4] == "4/12 runs, 1 of them made in 60 s, 5 min left"
    assert told[7] == "7/12 runs, 2 of them made in 180 s, 6 min left", "90 s each, 4 more; not 180 s / 7 each, 5 more"
    assert told[-1] == "12/12 runs, 6 of them made in 540 s, 0 min left"


def test_where_all_is_kept_nothing_is_left():
    progress = Progress(total=1, to_make=0)
    progress.add(None)
    assert str(progress) == "1/1 runs, 0 of them made in 0 s, 0 min left"
