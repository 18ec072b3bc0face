"""Parses PowerShell files; exit code 1 and the places if one cannot be read."""
import sys

import tree_sitter
import tree_sitter_powershell


def mistakes(node):
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from mistakes(child)


parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
found = False
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        tree = parser.parse(file.read())
    for node in mistakes(tree.root_node):
        found = True
        print(f"{path}:{node.start_point.row + 1}: cannot be parsed: {node.text[:60]!r}")
sys.exit(1 if found else 0)
