"""Reads a pprof file with Google's protobuf, whose message types are built here by hand. usage: with_protobuf.py FILE PID

The program PID holds 12 objects of 1009 bytes, 5 of 400 and 3 of 77. Prints "ok", or dies where it is wrong.
"""

import gzip
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# As google/pprof's proto/profile.proto has them: name, number, type; "*" is repeated.
MESSAGES = {
    "ValueType": [("type", 1, "int64"), ("unit", 2, "int64")],
    "Label": [("key", 1, "int64"), ("str", 2, "int64"), ("num", 3, "int64"), ("num_unit", 4, "int64")],
    "Sample": [("location_id", 1, "uint64*"), ("value", 2, "int64*"), ("label", 3, "Label*")],
    "Mapping": [
        ("id", 1, "uint64"), ("memory_start", 2, "uint64"), ("memory_limit", 3, "uint64"), ("file_offset", 4, "uint64"),
        ("filename", 5, "int64"), ("build_id", 6, "int64"), ("has_functions", 7, "bool"), ("has_filenames", 8, "bool"),
        ("has_line_numbers", 9, "bool"), ("has_inline_frames", 10, "bool"),
    ],
    "Line": [("function_id", 1, "uint64"), ("line", 2, "int64"), ("column", 3, "int64")],
    "Location": [("id", 1, "uint64"), ("mapping_id", 2, "uint64"), ("address", 3, "uint64"), ("line", 4, "Line*"), ("is_folded", 5, "bool")],
    "Function": [("id", 1, "uint64"), ("name", 2, "int64"), ("system_name", 3, "int64"), ("filename", 4, "int64"), ("start_line", 5, "int64")],
    "Profile": [
        ("sample_type", 1, "ValueType*"), ("sample", 2, "Sample*"), ("mapping", 3, "Mapping*"), ("location", 4, "Location*"),
        ("function", 5, "Function*"), ("string_table", 6, "string*"), ("drop_frames", 7, "int64"), ("keep_frames", 8, "int64"),
        ("time_nanos", 9, "int64"), ("duration_nanos", 10, "int64"), ("period_type", 11, "ValueType"), ("period", 12, "int64"),
        ("comment", 13, "int64*"), ("default_sample_type", 14, "int64"),
    ],
}


def profile_class():
    field_type = descriptor_pb2.FieldDescriptorProto
    scalars = {"int64": field_type.TYPE_INT64, "uint64": field_type.TYPE_UINT64, "bool": field_type.TYPE_BOOL, "string": field_type.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="perftools.profiles", syntax="proto3")
    for message, fields in MESSAGES.items():
        entry = file.message_type.add(name=message)
        for name, number, kind in fields:
            label = field_type.LABEL_REPEATED if kind.endswith("*") else field_type.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            field = entry.field.add(name=name, number=number, label=label, type=scalars.get(kind, field_type.TYPE_MESSAGE))
            if kind not in scalars:
                field.type_name = f".perftools.profiles.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))


def main():
    profile = profile_class()()
    profile.ParseFromString(gzip.open(sys.argv[1]).read())
    text = profile.string_table
    assert text[0] == "" and len(set(text)) == len(text)
    types = [(text[kind.type], text[kind.unit]) for kind in profile.sample_type]
    assert types == [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")], types
    assert profile.time_nanos > 1_700_000_000 * 10**9 and profile.period == 1, profile.period
    assert any("exact" in text[comment] for comment in profile.comment)
    functions = {function.id: function for function in profile.function}
    locations = {location.id: location for location in profile.location}
    mappings = {mapping.id: mapping for mapping in profile.mapping}
    assert len(functions) == len(profile.function) and len(locations) == len(profile.location)
    sites = {}
    for sample in profile.sample:
        labels = {text[label.key]: text[label.str] or label.num for label in sample.label}
        assert labels["pid"] == int(sys.argv[2]) and labels["label"] and "exact" in labels["command"], labels
        lines = [line for id in sample.location_id for line in locations[id].line]
        names = [text[functions[line.function_id].name] for line in lines]
        files = {text[functions[line.function_id].filename] for line in lines}
        assert any(file.endswith("exact.c") for file in files), files
        # Deeper stacks are cut at their outer end.
        site = next((name for name in names if name.startswith("by_")), "down")
        assert "main" in names or site == "down", names
        sites[site] = [a + b for a, b in zip(sites.get(site, [0] * 4), sample.value)]
        depth = len(names)
        assert site != "down" or depth > 10, depth
    assert sites == {
        "by_malloc": [12, 12 * 1009, 12, 12 * 1009],
        "by_calloc": [5, 2000, 5, 2000],
        "down": [3, 231, 3, 231],
    }, sites
    for location in profile.location:
        mapping = mappings[location.mapping_id]
        assert mapping.memory_start <= location.address < mapping.memory_limit, (location, mapping)
    named = {text[mapping.filename].rsplit("/", 1)[-1]: text[mapping.build_id] for mapping in profile.mapping}
    assert set(named["exact"]) <= set("0123456789abcdef") and len(named["exact"]) >= 16, named
    print("ok")


main()
