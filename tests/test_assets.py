"""The joiner: what a browser is sent does the same as the files that people read, in fewer bytes."""

import re
import subprocess

import pytest

from tokentrace.views._assets import CSS as CSS_SPACE
from tokentrace.views._assets import FRONTEND, _squeeze, css, esm
from tokentrace.views._assets import JS as JS_SPACE

ENTRIES = sorted(file.stem for file in FRONTEND.glob("*.js") if "export default" in file.read_text())
SCRIPTS = sorted(FRONTEND.rglob("*.js"))
MOST_BYTES = 60_000
TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let)\s+(\w+)", re.MULTILINE)
IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"(\./[\w./-]+\.js)";\n', re.MULTILINE)

# What functions of the player say about every step of a recorded run.
SAY = """
const trace = JSON.parse((await import("node:fs")).readFileSync(process.argv[2], "utf8"));
const run = new Run(trace);
const said = Array.from({ length: run.length }, (_, i) => run.step(i)).map((step) => [
  step, twinRow(run, step), sayDraw(step), unseen(run, step),
  cutLine(run, step), sayMoves(run, step), sayCut(step, run.vocabSize),
]);
const odd = ["\\n\\n", "  a", "\\t", "<|endoftext|>", { bytes: "e280" }, "\\u200b"].map(readPiece);
const shares = [0, 0.0001, 0.05, 0.999].map(percent);
console.log(JSON.stringify([said, odd, shares, summary(run.settings, 7), wavePaths([1, 2], [2, 1], 4)]));
"""
NAMES = {
    "bars": ["unseen", "cutLine"],
    "draw": ["sayDraw"],
    "format": ["percent", "readPiece"],
    "moves": ["sayMoves"],
    "prompt": ["summary"],
    "scrubber": ["wavePaths"],
    "stats": ["sayCut"],
    "trace": ["Run"],
    "twin": ["twinRow"],
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_view_is_at_most_60_kb(name):
    assert len(esm(f"{name}.js").encode()) + len(css(f"{name}.css").encode()) <= MOST_BYTES


def test_the_joined_player_says_what_its_files_say(node, root, tmp_path):
    """Catches: a string, template or expression that squeezing has changed."""
    files, joined = tmp_path / "files.mjs", tmp_path / "joined.mjs"
    imports = [
        f'import {{ {", ".join(names)} }} from "{FRONTEND / "shared" / file}.js";' for file, names in NAMES.items()
    ]
    files.write_text("\n".join(imports) + SAY)
    joined.write_text(esm("player.js") + SAY)
    trace = root / "data" / "traces" / "generation_loop.json"
    said = [
        subprocess.run([node, script, trace], capture_output=True, text=True, check=True).stdout
        for script in (files, joined)
    ]
    assert len(said[0]) > 10_000
    assert said[0] == said[1]


def test_each_file_is_joined_once_and_before_who_needs_it():
    joined = esm("player.js")
    for file in ("dom", "format", "trace", "text"):
        first = TOP_LEVEL.findall((FRONTEND / "shared" / f"{file}.js").read_text())[-1]
        assert len(re.findall(rf"(?:function|class|const) {first}\b", joined)) == 1
    assert joined.index("class Run") < joined.index("function textView") < joined.index("function render")
    sheet = css("player.css")
    assert sheet.count(".tt-root{--tt-paper") == 1 and ".tt-cdf{" in sheet and "@import" not in sheet


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_imports_are_of_the_kind_that_can_be_joined(file):
    source = file.read_text()
    found = IMPORT.findall(source)
    assert len(found) == len(re.findall(r"^import\b", source, re.MULTILINE))
    for names, path in found:
        exported = (file.parent / path).read_text()
        for name in filter(None, (each.strip() for each in names.split(","))):
            assert re.search(rf"^export (?:async )?(?:function|class|const) {name}\b", exported, re.MULTILINE), name


def test_names_are_unique_among_what_may_be_joined():
    shared = [name for file in (FRONTEND / "shared").glob("*.js") for name in TOP_LEVEL.findall(file.read_text())]
    assert len(shared) == len(set(shared))
    assert "render" not in shared
    for entry in ENTRIES:
        assert not set(TOP_LEVEL.findall((FRONTEND / f"{entry}.js").read_text())) & set(shared)


def test_squeezing_leaves_alone_what_is_quoted():
    source = """
// a comment
/** Another. */
const a = "x  =  1; // no comment";
const b = `${a ? `( ${a} )` : " { "}  , ${ a }`;
const c = /[\\s;,] +\\/ /.test(a); /* and */
if (!/^( a | b )$/.test(b)) { f(a - -1, [ 1, 2, ], -a + +b); }
"""
    squeezed = _squeeze(JS_SPACE, source)
    for kept in (
        '"x  =  1; // no comment"',
        '`${a ? `( ${a} )` : " { "}  , ${ a }`',
        "/[\\s;,] +\\/ /",
        "/^( a | b )$/",
    ):
        assert kept in squeezed
    assert "comment." not in squeezed and "Another" not in squeezed and "and" not in squeezed
    assert squeezed.endswith("{f(a - -1,[1,2],-a + +b)}")
    sheet = _squeeze(
        CSS_SPACE, ".a > .b:hover { width: calc(1px * 2 + 3px) ; color: red; }\n/* c */ .d *, .e { top: 0 }"
    )
    assert sheet == ".a>.b:hover{width:calc(1px*2 + 3px);color:red}.d *,.e{top:0}"
