"""The view of a room: distances against geometry, the person where the labels say, and files that hold what was seen."""

import io

import numpy as np
import pytest
from PIL import Image

from roomgen.acoustics.arrays import direction_in_frame_deg
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.views.figure import Figure
from roomgen.acoustics.views.panorama import encode_depth, encode_view, panorama
from roomgen.acoustics.views.textures import joints, texture
from roomgen.errors import RoomgenError

ROOM = Shoebox((6.0, 5.0, 3.0), absorption=0.2)
EYE, MOUTH = (2.0, 1.5, 1.4), (4.5, 3.0, 1.6)


def look(*, eye=EYE, mouth=MOUTH, room=ROOM, height=96, width=288, yaw_deg=0.0):
    return panorama(room, viewpoint_m=eye, source_m=mouth, height=height, width=width, yaw_deg=yaw_deg)


def ray(row, column, height, width, yaw_deg=0.0):
    """The (…, 3) directions of pixel centres, from the docstring's formulas."""
    azimuth = np.deg2rad(yaw_deg + 180 - 360 * (np.asarray(column) + 0.5) / width)
    elevation = np.deg2rad(90 - 180 * (np.asarray(row) + 0.5) / height)
    level = np.cos(elevation)
    return np.stack(np.broadcast_arrays(level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)), axis=-1)


def person(view, room=ROOM, eye=EYE, yaw_deg=0.0):
    """The pixels nearer than every wall, from distances alone."""
    height, width = view.depth_m.shape
    rows, columns = np.mgrid[:height, :width]
    directions = ray(rows, columns, height, width, yaw_deg)
    ahead = np.where(directions > 0, np.asarray(room.size_m) - eye, -np.asarray(eye)) / directions
    return view.depth_m < ahead.min(axis=-1) - 1e-3


def test_shapes_and_types():
    view = look()
    assert view.rgb.shape == (96, 288, 3)
    assert view.rgb.dtype == np.uint8
    assert view.depth_m.shape == (96, 288)
    assert view.depth_m.dtype == np.float32


@pytest.mark.parametrize(("yaw_deg", "wall_m"), [(0, 4.0), (90, 3.5), (180, 2.0), (-90, 1.5)])
def test_the_centre_looks_along_the_yaw(yaw_deg, wall_m):
    # An odd picture has a pixel that looks exactly ahead; the person stands elsewhere.
    view = look(height=91, width=271, yaw_deg=yaw_deg, mouth=(5.0, 4.0, 1.6))
    assert view.depth_m[45, 135] == pytest.approx(wall_m, abs=1e-5)


def test_up_and_down():
    view = look(height=181, width=271)
    assert view.depth_m[0].max() == pytest.approx(1.6, rel=1e-3)
    assert view.depth_m[-1].max() == pytest.approx(1.4, rel=1e-3)


def test_every_ray_ends_on_a_wall_or_on_the_person():
    view = look()
    rows, columns = np.mgrid[:96, :288]
    points = EYE + ray(rows, columns, 96, 288).reshape(-1, 3) * view.depth_m.reshape(-1, 1)
    to_wall = np.minimum(np.abs(points), np.abs(points - ROOM.size_m)).min(axis=1)
    facing = Figure.facing(EYE, MOUTH)
    to_person = np.abs((points - MOUTH) @ facing.normal)
    assert np.minimum(to_wall, to_person).max() < 1e-5
    assert ((points > -1e-5) & (points < np.asarray(ROOM.size_m) + 1e-5)).all()


def test_a_corner_is_as_far_as_its_diagonal():
    room = Shoebox((4.0, 4.0, 4.0), absorption=0.2)
    eye = (2.0, 2.0, 2.0)
    view = look(room=room, eye=eye, mouth=(1.0, 2.3, 1.6), height=900, width=1800)
    corner = int(1800 * (0.5 - 45 / 360)), int(900 * (0.5 - np.rad2deg(np.arctan(1 / np.sqrt(2))) / 180))
    assert view.depth_m[corner[1], corner[0]] == pytest.approx(np.sqrt(12), rel=5e-3)
    assert view.depth_m.max() <= np.sqrt(12) + 1e-4


@pytest.mark.parametrize("yaw_deg", [0.0, 30.0, -170.0, 180.0])
@pytest.mark.parametrize("mouth", [(4.5, 3.0, 1.6), (0.7, 1.2, 1.5), (2.2, 4.2, 1.7)])
def test_the_person_stands_at_the_labelled_azimuth_and_distance(mouth, yaw_deg):
    width, height = 720, 360
    azimuth, elevation = direction_in_frame_deg(np.float32(mouth), np.float32(EYE), yaw_deg=yaw_deg)
    view = look(mouth=mouth, width=width, height=height, yaw_deg=yaw_deg)
    column, row = int(width * (0.5 - azimuth / 360)) % width, int(height * (0.5 - elevation / 180))
    assert view.depth_m[row, column] == pytest.approx(np.linalg.norm(np.subtract(mouth, EYE)), abs=0.02)
    seen = person(view, yaw_deg=yaw_deg).any(axis=0)
    turned = np.exp(2j * np.pi * np.flatnonzero(seen) / width).mean()  # the mean column, across the seam too
    middle = np.angle(turned * np.exp(-2j * np.pi * width * (0.5 - azimuth / 360) / width)) / (2 * np.pi) * width
    assert abs(middle) < 1.5


def test_a_person_behind_stands_across_the_seam():
    seen = person(look(mouth=(0.8, 1.5, 1.5))).any(axis=0)
    assert seen[0]
    assert seen[-1]
    assert not seen[20:-20].any()


def test_the_person_stands_on_the_floor_under_a_head():
    mouth = (4.5, 1.5, 1.6)
    view = look(mouth=mouth, height=720, width=1440)
    rows, columns = np.nonzero(person(view))
    z = EYE[2] + view.depth_m[rows, columns] * ray(rows, 0, 720, 1440)[:, 2]
    assert z.min() == pytest.approx(0.0, abs=0.03)
    assert 1.7 < z.max() < 1.85
    across = view.depth_m[rows, columns] * ray(rows, columns, 720, 1440)[:, 1]
    assert 0.4 < np.ptp(across) < 0.65


def test_a_wall_hides_what_is_behind_it():
    # The plane of the person reaches through the wall beside: there the wall is seen.
    mouth = (4.5, 4.9, 1.6)
    view = look(mouth=mouth)
    rows, columns = np.nonzero(person(view))
    points = EYE + view.depth_m[rows, columns, None] * ray(rows, columns, 96, 288)
    assert len(points) > 10
    assert points[:, 1].max() <= 5.0
    low = look(mouth=(4.5, 3.0, 2.95))
    assert low.depth_m.max() <= np.sqrt(36 + 25 + 9)


def test_a_person_straight_above_is_not_seen():
    view = look(mouth=(EYE[0], EYE[1], 2.5))
    assert np.isfinite(view.depth_m).all()
    assert not person(view)[:80].any()


def test_yaw_turns_the_picture():
    still, turned = look(), look(yaw_deg=90.0)
    shifted = np.roll(still.rgb, 288 // 4, axis=1).astype(int)  # what was ahead is now to the right
    assert (np.abs(shifted - turned.rgb).max(axis=2) > 4).mean() < 0.01
    np.testing.assert_allclose(np.roll(still.depth_m, 288 // 4, axis=1), turned.depth_m, atol=0.01, rtol=0.02)
    whole = look(yaw_deg=360.0)
    assert (np.abs(whole.rgb.astype(int) - still.rgb).max(axis=2) > 4).mean() < 0.01


def test_the_picture_is_not_mirrored():
    # North (y = W) is to the left of one who looks east.
    colours = {"west": 0.5, "east": 0.5, "south": 0.95, "north": 0.02, "floor": 0.5, "ceiling": 0.5}
    view = look(room=Shoebox((6.0, 5.0, 3.0), absorption=colours), mouth=(0.5, 2.0, 1.5))
    left, right = view.rgb[48, 72].astype(int), view.rgb[48, 216].astype(int)
    assert left.sum() > right.sum() + 60


def test_same_settings_same_bytes():
    first, second = look(), look()
    assert encode_view(first.rgb) == encode_view(second.rgb)
    assert encode_depth(first.depth_m) == encode_depth(second.depth_m)


def test_depth_survives_the_png_to_half_a_millimetre():
    view = look()
    image = Image.open(io.BytesIO(encode_depth(view.depth_m)))
    assert image.mode.startswith("I;16")
    stored = np.asarray(image)
    assert np.abs(stored / 1000.0 - view.depth_m).max() <= 0.0005001
    far = np.asarray(Image.open(io.BytesIO(encode_depth(np.float32([[65.535, 70.0, 0.0012]])))))
    assert far.tolist() == [[65535, 65535, 1]]


def test_colours_survive_the_jpeg():
    view = look()
    image = Image.open(io.BytesIO(encode_view(view.rgb)))
    assert image.size == (288, 96)
    assert np.abs(np.asarray(image).astype(int) - view.rgb).mean() < 3


def test_every_material_has_a_look_and_families_differ():
    u, v = (axis.ravel().astype(np.float32) for axis in np.meshgrid(np.linspace(0, 5, 60), np.linspace(0, 3, 40)))
    width = np.full(u.shape, 0.02, dtype=np.float32)
    pictures = {name: texture(name)(u, v, width, width) for name in material_names()}
    for name, picture in pictures.items():
        assert picture.shape == (2400, 3), name
        assert np.isfinite(picture).all(), name
        assert 0.05 < picture.mean() < 1.0, name
    shown = [
        "brickwork",
        "wood_16mm",
        "carpet_hairy",
        "rough_concrete",
        "curtains_velvet",
        "ceramic_tiles",
        "glass_3mm",
        "plasterboard",
    ]
    for i, one in enumerate(shown):
        for other in shown[:i]:
            assert np.abs(pictures[one] - pictures[other]).mean() > 0.04, (one, other)


def test_a_plain_wall_is_darker_the_more_it_absorbs():
    u = np.linspace(0, 4, 400, dtype=np.float32)
    shades = [float(texture(str(alpha))(u, u, 0 * u, 0 * u).mean()) for alpha in (0.0, 0.3, 0.6, 1.0)]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > shades[-1] + 0.3
    assert texture("0.3", scale=2.0)(u, u, 0 * u, 0 * u).mean() == pytest.approx(shades[2])


def test_a_room_given_as_a_table_is_drawn():
    alpha = np.tile(np.linspace(0, 1, 6)[:, None], (1, 7))
    view = look(room=Shoebox((6.0, 5.0, 3.0), absorption=alpha))
    assert view.rgb[48, 280].sum() > view.rgb[48, 144].sum()  # west takes nothing, east a fifth


def test_walls_are_darker_towards_each_corner_and_edge():
    # One grey wall colour in all directions, and nobody but a person behind the eye: what is left is light.
    room, eye = Shoebox((4.0, 4.0, 3.0), absorption=0.3), (2.0, 2.0, 1.5)
    view = look(room=room, eye=eye, mouth=(1.9, 2.0, 1.5), height=360, width=1080)
    rows, columns = np.mgrid[:360, :1080]
    points = eye + ray(rows, columns, 360, 1080) * view.depth_m[..., None]
    grey = view.rgb.mean(axis=-1) / 255
    for sign in (-1, 1):  # the northern and the southern wall; the person hides part of the western one
        wall = (np.abs(points[..., 1] - eye[1] - 2.0 * sign) < 1e-3) & ~person(view, room, eye)
        for axis, half_m in ((0, 2.0), (2, 1.5)):
            for end in (-1, 1):
                from_edge_m = half_m - end * (points[..., axis] - eye[axis])
                across = wall & (np.abs(points[..., 2 - axis] - eye[2 - axis]) < 0.5)  # away from the other edges
                at_edge, inside = (grey[across & (low < from_edge_m) & (from_edge_m < low + 0.06)] for low in (0.0, 0.5))
                assert 0.7 < at_edge.mean() / inside.mean() < 0.88, (sign, axis, end)


def test_joints_are_averages_over_the_pixel():
    x = np.random.default_rng(0).uniform(-3, 3, 50).astype(np.float32)
    for width in (0.004, 0.03, 0.4):
        fine = np.linspace(-0.5, 0.5, 20_001) * width + x[:, None].astype(np.float64)
        expected = ((fine % 0.25) < 0.02).mean(axis=1)
        np.testing.assert_allclose(joints(x, np.full_like(x, width), period=0.25, joint=0.02), expected, atol=5e-3)


@pytest.mark.parametrize(
    ("eye", "mouth", "said"),
    [((7, 1, 1), MOUTH, "viewpoint"), (EYE, (1, 1, -1), "source"), (EYE, (1, np.nan, 1), "source"), ((1, 1), MOUTH, "viewpoint")],
)
def test_positions_outside_are_refused(eye, mouth, said):
    with pytest.raises(RoomgenError, match=said):
        look(eye=eye, mouth=mouth)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(RoomgenError, match="at least 1"):
        look(height=0)
