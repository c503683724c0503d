#!/usr/bin/env python3
"""Measures the words and the shape of crates/*/src by rough lexing, and prints one table.

It does not parse Rust and does not judge single sentences: its numbers are for comparing one state of the tree with another.
With --check it prints what breaks a rule (at most 2% of doc blocks open with a fragment, no two public types of one name) and
ends with status 1 if something does. With --list it names every finding. The tests run it with --check.

    docs/style/measure.py [--check | --list] [DIRECTORY]
"""
import argparse
import collections
import pathlib
import re
import statistics
import sys

FRAGMENT_OPENERS = {"of", "what", "by", "whose", "those", "whom", "who"}
MAX_FRAGMENT_SHARE = 0.02
WHO_WORDS = re.compile(r"\b(?:whom|whomever|whoever|whose|nobody|(?:is|are) to)\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
MAX_CODE_LINES = 400

# The last word of a type's name decides: `WrittenSetting` is a noun.
PARTICIPLES = set(
    "Begun Bent Born Bought Bound Broken Brought Built Caught Chosen Drawn Driven Fallen Fed Felt Forgotten Found Frozen Given "
    "Gone Grown Held Hidden Kept Known Laid Led Left Lent Lost Made Meant Met Paid Proven Read Said Seen Sent Shown Shut Sought "
    "Spent Spoken Spread Stolen Struck Sworn Taken Taught Thought Thrown Told Torn Understood Woken Won Worn Written".split()
)
PRONOUNS_AND_PREPOSITIONS = set(
    "All Another Any Anybody Anyone Aside Away Before Behind Below Beneath Beside Besides Between Beyond Both Each Either Else "
    "Elsewhere Everybody Everyone Everything Few Here Inside Itself Many Most Near Neither Nobody None Nothing Nowhere Once Other "
    "Others Outside Over Own Same Several Some Somebody Someone Something Somewhere Such That There These This Those Together "
    "Toward Towards Under Until Upon What Whatever When Where Wherever Which Who Whoever Whom Whose Within Without".split()
)
NOUNS_IN_ED = {"Bed", "Feed", "Need", "Reed", "Seed", "Shed", "Speed", "Thread", "Embed"}
NOUNS_IN_ING = {
    "Accounting", "Binding", "Building", "Ceiling", "Ending", "Encoding", "Finding", "Heading", "King", "Landing", "Listing",
    "Mapping", "Meaning", "Naming", "Ordering", "Padding", "Rating", "Reading", "Recording", "Ring", "Routing", "Saving",
    "Setting", "Spelling", "String", "Testing", "Thing", "Timing", "Tracing", "Warning", "Wing",
}

TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>b?c?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*")
  | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])')
    """,
    re.VERBOSE | re.DOTALL,
)
TYPE = re.compile(r"^[ \t]*(?P<public>pub )?(?:pub\([^)]*\) )?(?:unsafe )?(?:struct|enum|trait|union|type) (?P<name>[A-Z]\w*)", re.MULTILINE)
PUBLIC_ITEM = re.compile(
    r"^[ \t]*pub (?:const fn|async fn|unsafe fn|unsafe extern \S+ fn|extern \S+ fn|fn|struct|enum|trait|union|type|const|static|mod) (?P<name>\w+)",
    re.MULTILINE,
)
FUNCTION = re.compile(r"\bfn (?P<name>\w+)")
UNSAFE_BLOCK = re.compile(r"\bunsafe (?:\{|impl\b)")


def blanked(text):
    """The text with comments, strings and characters replaced by spaces, line by line."""

    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())

    return TOKEN.sub(spaces, text)


def block_end(code, start):
    """The index after the brace that closes the first block from `start`, or None for a declaration without one."""
    depth = 0
    parentheses = 0
    for index in range(start, len(code)):
        char = code[index]
        if char in "([":
            parentheses += 1
        elif char in ")]":
            parentheses -= 1
        elif char == ";" and depth == 0 and parentheses == 0:
            return None
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index + 1
    return None


def without_tests(code):
    """Blanks modules that are compiled for tests only."""
    for match in re.finditer(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))? )?mod \w+ \{", code):
        end = block_end(code, match.start()) or len(code)
        code = code[: match.start()] + re.sub(r"[^\n]", " ", code[match.start() : end]) + code[end:]
    return code


def doc_blocks(text):
    """Runs of doc comment lines: (line number, text)."""
    block, start = [], 0
    for number, line in enumerate(text.splitlines() + [""], 1):
        found = re.match(r"\s*(///|//!)(?!/) ?(.*)", line)
        if found and (not block or block[0] == found[1]):
            if not block:
                block, start = [found[1]], number
            block.append(found[2])
            continue
        if block:
            yield start, "\n".join(block[1:]).strip()
        block, start = ([found[1], found[2]], number) if found else ([], 0)


def has_docs(lines, number):
    """Whether the item on this line (from 0) has a doc comment above it, among comments and attributes."""
    for line in reversed(lines[:number]):
        line = line.strip()
        if line.startswith("///"):
            return True
        if not line.startswith(("#[", "//", ")]")) and not line.endswith(")]"):
            return False
    return False


def has_reason(lines, number):
    """Whether the unsafe block on this line (from 0) has a SAFETY comment on it or above its statement."""
    for line in reversed(lines[max(0, number - 12) : number + 1]):
        if "SAFETY" in line:
            return True
        if line.rstrip().endswith("}") and line.strip() == "}":
            return False
    return False


def last_word(name):
    return re.findall(r"[A-Z][a-z0-9]*", name)[-1]


def is_no_noun(name):
    word = last_word(name)
    if word in PARTICIPLES or word in PRONOUNS_AND_PREPOSITIONS:
        return True
    is_participle = word.endswith("ed") and word not in NOUNS_IN_ED and len(word) > 4
    return is_participle or (word.endswith("ing") and word not in NOUNS_IN_ING)


class Measures:
    def __init__(self):
        self.blocks = 0
        self.words = 0
        self.who_words = 0
        self.fragments = []
        self.types = 0
        self.no_nouns = []
        self.public_types = collections.defaultdict(list)
        self.public_items = 0
        self.without_docs = []
        self.functions = []
        self.unsafe_blocks = 0
        self.without_reason = []
        self.long_files = []

    def add(self, path, name):
        text = path.read_text()
        is_test = not {"tests", "trials"}.isdisjoint((*name.parts, name.stem))
        for line, block in doc_blocks(text):
            words = WORD.findall(block)
            if not words:
                continue
            self.blocks += 1
            self.words += len(words)
            self.who_words += len(WHO_WORDS.findall(block))
            if words[0].lower() in FRAGMENT_OPENERS and block[0].isalpha():
                self.fragments.append(f"{name}:{line}: {block.splitlines()[0]}")
        if is_test:
            return
        code = without_tests(blanked(text))
        self.add_code(code, text.splitlines(), name)

    def add_code(self, code, lines, name):
        def line_of(match):
            return code.count("\n", 0, match.end())

        for match in TYPE.finditer(code):
            # An associated type is a name of its trait's.
            if match["public"] is None and re.match(r"[ \t]+type ", match.group()):
                continue
            self.types += 1
            place = f"{name}:{line_of(match) + 1}: {match['name']}"
            if is_no_noun(match["name"]):
                self.no_nouns.append(place)
            if match["public"]:
                self.public_types[match["name"]].append(place)
        for match in PUBLIC_ITEM.finditer(code):
            # A module's documentation is in its file.
            if " mod " in match.group() and code[match.end() : match.end() + 1] == ";":
                continue
            self.public_items += 1
            if not has_docs(lines, line_of(match)):
                self.without_docs.append(f"{name}:{line_of(match) + 1}: {match['name']}")
        for match in FUNCTION.finditer(code):
            end = block_end(code, match.end())
            if end:
                length = code.count("\n", match.start(), end) + 1
                self.functions.append((length, f"{name}:{line_of(match) + 1}: {match['name']}"))
        for match in UNSAFE_BLOCK.finditer(code):
            self.unsafe_blocks += 1
            if not has_reason(lines, line_of(match)):
                self.without_reason.append(f"{name}:{line_of(match) + 1}")
        code_lines = sum(1 for line in code.splitlines() if line.strip())
        if code_lines > MAX_CODE_LINES:
            self.long_files.append(f"{name}: {code_lines} lines of code")

    def repeated_types(self):
        return {name: places for name, places in sorted(self.public_types.items()) if len(places) > 1}

    def rows(self):
        lengths = sorted(length for length, _ in self.functions)
        longest = max(self.functions)
        repeated = self.repeated_types()
        return [
            ("doc blocks", self.blocks),
            ("of these open with a fragment", f"{len(self.fragments)} ({len(self.fragments) / self.blocks:.1%})"),
            ("who-words per 1,000 words of docs", f"{self.who_words / self.words * 1000:.1f}"),
            ("types", self.types),
            ("type names that are no nouns", len(self.no_nouns)),
            ("public types", sum(len(places) for places in self.public_types.values())),
            ("names that several public types share", f"{len(repeated)} {' '.join(repeated)}".strip()),
            ("public items", self.public_items),
            ("public items without docs", len(self.without_docs)),
            ("functions", len(lengths)),
            ("lines of a function: median", f"{statistics.median(lengths):.0f}"),
            ("lines of a function: 90th percentile", lengths[len(lengths) * 9 // 10]),
            ("lines of a function: longest", f"{longest[0]} ({longest[1]})"),
            ("unsafe blocks", self.unsafe_blocks),
            ("unsafe blocks with a reason", self.unsafe_blocks - len(self.without_reason)),
            (f"files past {MAX_CODE_LINES} lines of code", len(self.long_files)),
        ]

    def broken_rules(self):
        share = len(self.fragments) / self.blocks
        if share > MAX_FRAGMENT_SHARE:
            yield from self.fragments
            yield f"{share:.1%} of the doc blocks open with a fragment; at most {MAX_FRAGMENT_SHARE:.0%} may"
        for name, places in self.repeated_types().items():
            yield f"several public types are named {name}:"
            yield from (f"  {place}" for place in places)

    def findings(self):
        return [
            ("fragments", self.fragments),
            ("type names that are no nouns", self.no_nouns),
            ("public types of one name", [place for places in self.repeated_types().values() for place in places]),
            ("public items without docs", self.without_docs),
            ("unsafe blocks without a reason", self.without_reason),
            ("long files", self.long_files),
            ("functions past 60 lines", [place for length, place in self.functions if length > 60]),
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--check", action="store_true", help="print what breaks a rule and fail if something does")
    parser.add_argument("--list", action="store_true", help="name every finding")
    arguments = parser.parse_args()
    measures = Measures()
    for path in sorted(arguments.directory.glob("crates/*/src/**/*.rs")):
        measures.add(path, path.relative_to(arguments.directory))
    if arguments.check:
        broken = list(measures.broken_rules())
        print("\n".join(broken), end="\n" if broken else "")
        sys.exit(bool(broken))
    if arguments.list:
        for title, found in measures.findings():
            print(f"## {title} ({len(found)})")
            print("\n".join(found), end="\n\n")
        return
    width = max(len(label) for label, _ in measures.rows())
    for label, value in measures.rows():
        print(f"{label:<{width}}  {value}")


main()
