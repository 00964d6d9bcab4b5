"""Answers of the `packaging` and `pip` beside the tests' Python: JSON cases in, JSON answers out."""

import json
import sys

from pip._internal.index.package_finder import CandidateEvaluator, LinkEvaluator, LinkType
from pip._internal.models.candidate import InstallationCandidate
from pip._internal.models.link import Link
from pip._internal.models.target_python import TargetPython
from pip._vendor.packaging import _manylinux, _musllinux, tags
from pip._vendor.packaging.markers import InvalidMarker, Marker
from pip._vendor.packaging.specifiers import SpecifierSet


def platforms_of(case):
    kind, version, arch = case["kind"], case["version"], case["arch"]
    if kind == "glibc":
        _manylinux._get_glibc_version = lambda: _manylinux._GLibCVersion(*version)
        _manylinux._have_compatible_abi = lambda executable, archs: True
        _manylinux._get_manylinux_module = lambda: None
        return [f"linux_{arch}", *_manylinux.platform_tags([arch])]
    if kind == "musl":
        _musllinux._get_musl_version = lambda executable: _musllinux._MuslVersion(*version)
        return [f"linux_{arch}", *_musllinux.platform_tags([arch])]
    if kind == "mac":
        return list(tags.mac_platforms(tuple(version), arch))
    return [arch]


def tags_of(case):
    version = tuple(case["version"])
    interpreter, abi, platforms = case["interpreter"], case["abi"], case["platforms"]
    if interpreter.startswith("cp"):
        own = tags.cpython_tags(version, [abi], platforms)
    else:
        own = tags.generic_tags(interpreter, [abi], platforms)
    return [*own, *tags.compatible_tags(version, interpreter, platforms)]


def marker_of(case):
    try:
        marker = Marker(case["marker"])
    except InvalidMarker:
        return "invalid"
    try:
        return marker.evaluate({**case["environment"], "extra": case["extra"]})
    except Exception:
        return "undefined"


def is_pinned(specifier):
    return any(
        each.operator == "===" or (each.operator == "==" and not each.version.endswith(".*"))
        for each in specifier
    )


def choice_of(case):
    target = TargetPython(py_version_info=tuple(case["python"]))
    target._valid_tags = tags_of(case["tags"])
    target._valid_tags_set = set(target._valid_tags)
    links = LinkEvaluator(
        project_name=case["project"],
        canonical_name=case["project"],
        formats=frozenset({"source", "binary"}),
        target_python=target,
        allow_yanked=True,
    )
    candidates = []
    for file in case["files"]:
        url = f"https://example.org/files/{file['filename']}"
        link = Link(
            url,
            requires_python=file["requiresPython"],
            yanked_reason=None if file["yanked"] is False else file["yanked"],
        )
        kind, detail = links.evaluate_link(link)
        if kind == LinkType.candidate:
            candidates.append(InstallationCandidate(case["project"], detail, link))
    specifier = SpecifierSet(case["specifier"])
    evaluator = CandidateEvaluator.create(case["project"], target, specifier=specifier)
    found = evaluator.compute_best_candidate(candidates).applicable_candidates
    # As in pip's resolver: a yanked file only if all are and the specifier names a version.
    may_be_yanked = is_pinned(specifier) and all(each.link.is_yanked for each in found)
    for each in reversed(found):
        if may_be_yanked or not each.link.is_yanked:
            return each.link.filename
    return None


ANSWERS = {
    "platforms": platforms_of,
    "tags": lambda case: [str(tag) for tag in tags_of(case)],
    "marker": marker_of,
    "choice": choice_of,
}

cases = json.load(open(sys.argv[1]))
json.dump([ANSWERS[case["ask"]](case) for case in cases], sys.stdout)
