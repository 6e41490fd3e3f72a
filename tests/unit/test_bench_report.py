"""The benchmark's tables and its picture."""

from xml.etree import ElementTree

import pytest

from tests.bench import pages, report
from tests.bench.picture import Bar, Panel, amount, draw, scale
from tests.bench.workload import Figure, Record, Workload

SVG = "{http://www.w3.org/2000/svg}"
WORKLOAD = Workload(
    "drain",
    "Empty jobs",
    (Figure("rate", "jobs/s", ratio=True), Figure("host", "CPU of the host"), Figure("never", "never measured")),
    lambda system, mode, size: {},
)
RECORDS = [
    Record("drain", "huey", "default", 1, {"rate": 1000.0}),
    Record("drain", "farm", "default", 1, {"rate": 4000.0, "host": 40.0}),
    Record("drain", "huey", "fast", 1, {"rate": 2000.0}),
    Record("drain", "arq", "default", 1, error="not installed: no network"),
    Record("drain", "huey", "default", 2, {"rate": 1500.0}),
    Record("drain", "farm", "default", 2, {"rate": 3000.0, "host": 50.0}),
    Record("drain", "huey", "fast", 2, error="it ended"),
    Record("idle", "farm", "default", 1, {"rate": 7.0}),
]


def test_a_table_has_ours_first_and_a_row_for_each_system_and_mode() -> None:
    head, *rows = report.table(WORKLOAD, RECORDS).rows

    assert head == ("system", "jobs/s", "CPU of the host", "farm ÷ it: jobs/s")
    assert rows == [
        ("farm", "3,500 (3,000–4,000)", "45 (40–50)", "–"),
        ("huey", "1,250 (1,000–1,500)", "–", "3.00 (2.00–4.00)"),
        ("huey, fast", "2,000", "–", "2.00"),
        ("arq", "–", "–", "–"),
    ]


def test_what_failed_is_said_below_the_table() -> None:
    assert report.table(WORKLOAD, RECORDS).notes == (
        "huey, fast: failed in 1 of 2 rounds: it ended",
        "arq: failed in 1 of 1 rounds: not installed: no network",
    )


def test_ours_alone_has_no_column_of_ratios() -> None:
    head = report.table(WORKLOAD, [RECORDS[1]]).rows[0]

    assert head == ("system", "jobs/s", "CPU of the host")


def test_columns_of_a_text_stand_below_each_other() -> None:
    lines = report.as_text(report.table(WORKLOAD, RECORDS)).splitlines()[2:7]

    assert len({len(line) for line in lines}) == 1


def test_a_page_has_header_settings_and_a_table_for_each_workload() -> None:
    text = report.page({"date": "today"}, {"huey": {"fast": "no results"}}, {"drain": report.table(WORKLOAD, RECORDS)})

    assert "- date: today\n" in text
    assert "| huey | fast | no results |\n" in text
    assert "### drain\n\nEmpty jobs.\n\n| system | jobs/s |" in text
    assert "\n|---|---|---|---|\n| farm | 3,500" in text


def test_only_what_follows_the_mark_is_replaced_on_a_page() -> None:
    page = f"how to repeat\n\n{pages.BEGIN}\n\nold numbers\n"

    assert pages.replaced(page, "new numbers\n") == f"how to repeat\n\n{pages.BEGIN}\n\nnew numbers\n"
    with pytest.raises(ValueError, match="no line"):
        pages.replaced("nothing here", "new numbers")


def test_the_picture_is_svg_with_longer_bars_for_greater_values() -> None:
    shown = Panel("How <many> & how soon", (Bar("farm", 4000.0), Bar("huey", 1000.0, 2000.0), Bar("arq", 4.0)))

    picture = ElementTree.fromstring(draw([shown]))

    texts = [text.text for text in picture.iter(f"{SVG}text")]
    fronts = [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect") if bar.attrib["class"] == "bar"]
    (pale,) = [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect") if bar.attrib["class"] == "bar pale"]
    assert {"How <many> & how soon", "farm", "huey", "arq", "4,000", "1,000 · 2,000", "4"} <= set(texts)
    assert fronts == sorted(fronts, reverse=True)
    assert fronts[1] < pale < fronts[0]


def test_the_picture_has_panels_for_what_was_measured() -> None:
    records = [Record("drain", "farm", "default", 1, {"jobs_per_second": 10.0})]

    assert [len(each.bars) for each in pages.panels(records)] == [1]
    assert pages.panels([]) == []
    assert "measured <today>" in [
        text.text for text in ElementTree.fromstring(draw([], "measured <today>")).iter(f"{SVG}text")
    ]


@pytest.mark.parametrize(
    ("values", "powers"), [([4.2, 2231.0], (0, 4)), ([1.0, 1000.0], (0, 3)), ([10.0], (1, 2)), ([0.3], (-1, 0))]
)
def test_a_scale_goes_from_a_power_of_ten_to_another(values: list[float], powers: tuple[int, int]) -> None:
    assert scale(values) == powers


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (42.42, "42.4"), (4.0, "4"), (0.666, "0.67")])
def test_an_amount_has_the_digits_that_count(value: float, text: str) -> None:
    assert amount(value) == text
