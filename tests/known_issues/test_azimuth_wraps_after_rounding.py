"""An azimuth a hair above -180° became -180° in the manifest's float32, which (-180, 180] excludes."""

import numpy as np

from roomgen.acoustics.arrays import direction_in_frame_deg


def test_azimuth_is_never_minus_180_as_stored():
    azimuth, _ = direction_in_frame_deg(np.float32([1, 1.9999999, 1]), np.float32([2, 2, 1]))
    assert np.float32(azimuth) == 180
