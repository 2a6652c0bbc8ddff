# SPDX-License-Identifier: Apache-2.0
"""Writes what the fuzz programs begin with, made of tests/data and by hand: corpus.py DIRECTORY makes a folder there for
each program that reads from memory. Odd but valid inputs, so that every opcode, type and form is met, and for each kind
of refusal one that is refused; the folders of whole checkpoints are made by the programs themselves (--seeds)."""

import io
import json
import pathlib
import pickle
import pickletools
import struct
import sys
import zipfile
import zlib

DATA = pathlib.Path(__file__).parents[1] / "data"

# Pickles.

P = b"\x80\x02"
WHOLE = {  # each is one pickle
    "none": b"N.",
    "bools": P + b"\x88\x89\x86.",
    "bools_text": b"I00\nI01\nl0N.",
    "integers": b"(K\x01M\x02\x00J\xff\xff\xff\xffI-5\nL12L\nL-123456789012345678901234567890L\n\x8a\x01\xfft.",
    "long4": b"\x8b\x09\x00\x00\x00" + b"\x01" * 9 + b".",
    "long1_empty": b"\x8a\x00.",
    "floats": b"(F1.5\nG?\xf8\x00\x00\x00\x00\x00\x00t.",
    "texts": b"(X\x02\x00\x00\x00ab\x8c\x02cd\x8d\x02" + b"\x00" * 7 + b"efVg\\u00e9\\U0001f600\\x\nt.",
    "texts_wide": b"(V\xe9\\u07ff\\uffff\nX\x0b\x00\x00\x00\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80abt.",
    "strings": b"(S'a\\n\\t\\r\\\\\\'\\\"\\x41'\nS\"b\"\nT\x01\x00\x00\x00cU\x01dU\x02\xff\xfet.",
    "bytes": b"(B\x01\x00\x00\x00aC\x01b\x8e\x01" + b"\x00" * 7 + b"c\x96\x01" + b"\x00" * 7 + b"dt.",
    "lists": b"(]](K\x01K\x02e](l]K\x01a)K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87(K\x01tt.",
    "dicts": b"(}}K\x01K\x02s}(K\x01K\x02K\x03K\x04u(K\x01K\x02dt.",
    "sets": b"\x80\x04(\x8f\x8f(K\x01K\x02\x90(K\x01\x91t.",
    "globals": b"(cos\nsystem\n\x8c\x02os\x8c\x04exec\x93c__builtin__\nobject\nccopy_reg\n_reconstructor\nt.",
    "reduce": b"ccollections\nOrderedDict\n)R.",
    "reduce_items": b"ccollections\nOrderedDict\n)R(K\x01K\x02uK\x01a}b.",
    "newobj": P + b"ca\nB\n)\x81K\x07b.",
    "newobj_ex": b"\x80\x04ca\nB\n)}\x92.",
    "obj": b"(ca\nB\nK\x01o.",
    "inst": b"(K\x01ia\nB\n.",
    "reconstructor": b"ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR}b.",
    "reconstructor_int": b"ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nint\nK\x05tR.",
    "encode": b"c_codecs\nencode\n(X\x03\x00\x00\x00a\xc3\xbfX\x06\x00\x00\x00latin1tR.",
    "encode_other": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8tR.",
    "bytes_call": b"c__builtin__\nbytes\n)R.",
    "set_call": b"c__builtin__\nset\n(](K\x01K\x02etR.",
    "frozenset_call": b"c__builtin__\nfrozenset\n)R.",
    "set_of_int": b"c__builtin__\nset\n(K\x01tR.",
    "getattr": b"c__builtin__\ngetattr\n(ca\nB\nX\x01\x00\x00\x00ctR.",
    "getattr_called": b"c__builtin__\ngetattr\n(ca\nB\nX\x01\x00\x00\x00ctR)R.",
    "persid": b"Pabc\n.",
    "binpersid": b"(K\x01K\x02tQ.",
    "module_id": b"(X\x06\x00\x00\x00moduleca\nB\nX\x01\x00\x00\x00fX\x01\x00\x00\x00stQ.",
    "marks": b"((1(0K\x012K\x01\x87.",
    "long_text": b"X" + struct.pack("<I", 70000) + b"a" * 70000 + b".",
    "dup": b"K\x012\x86.",
    "get_text_only": b"Np0\ng0\n\x86.",
    "memo": b"(]p0\ng0\nq\x01h\x01r\x02\x00\x00\x00j\x02\x00\x00\x00K\x05p9\ng9\nt.",
    "memoize": b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00]\x94h\x00a.",
    "memo_many": b"(" + b"".join(b"K\x01r" + struct.pack("<I", i) for i in (5, 1, 0, 2)) + b"h\x05t.",
    "cycle": b"]q\x00h\x00a.",
    "shared": b"(]q\x00h\x00h\x00t.",
    "nested": b"]" * 90 + b"a" * 89 + b".",
    "deep": b"]" * 300 + b"a" * 299 + b".",
    "long_name": b"c" + b"m" * 1100 + b"\nB\n.",
    "protocol0": pickle.dumps({"a": [1, 2.5, None, True, "é", b"\xff", (1,), 2**70]}, 0),
    "protocol1": pickle.dumps({"a": [1, 2.5, None, True, "é", b"\xff", (1,), 2**70]}, 1),
    "protocol5": pickle.dumps([bytearray(b"a"), {1}, frozenset([2]), "x" * 300, 2**3000, -(2**80)], 5),
}
REFUSED = {
    "empty": b"",
    "left_over": b"NN.",
    "mark_left": b"(N.",
    "opcode": b"\x01.",
    "ext1": b"\x82\x01.",
    "ext4": b"\x84\x01\x00\x00\x00.",
    "next_buffer": b"\x97.",
    "protocol": b"\x80\x09N.",
    "truncated": b"X\xff\x00\x00\x00ab",
    "line": b"I12",
    "number": b"Ix\n.",
    "float": b"Fx\n.",
    "long": b"Lx\n.",
    "long_digits": b"L" + b"9" * 20000 + b"L\n.",
    "long4_negative": b"\x8b\xff\xff\xff\xff.",
    "utf8": b"U\x01\xff0X\x01\x00\x00\x00\xff.",
    "utf8_forms": b"X\x03\x00\x00\x00\xe0\x80\x80.",
    "utf8_surrogate": b"X\x03\x00\x00\x00\xed\xa0\x80.",
    "utf8_cut": b"X\x02\x00\x00\x00\xe2\x82.",
    "unicode_escape": b"V\\u00\n.",
    "unicode_escape_large": b"V\\U00ffffff\n.",
    "unicode_escape_no_hex": b"V\\uzzzz\n.",
    "unicode_surrogate": b"V\\ud800\n.",
    "quotes": b"Sab\n.",
    "quote_escape": b"S'\\q'\n.",
    "quote_end": b"S'a\\'\n.",
    "memo_missing": b"h\x07.",
    "no_operand": b"a.",
    "no_mark": b"t.",
    "no_value": b"K\x01\x85R.",
    "append_to_int": b"K\x01K\x02a.",
    "set_on_int": b"K\x01K\x02K\x03s.",
    "odd_dict": b"(K\x01d.",
    "add_to_int": b"K\x01(K\x02\x90.",
    "call_int": b"K\x01)R.",
    "call_without_tuple": b"ca\nB\nK\x01R.",
    "newobj_of_int": b"ca\nB\nK\x01\x81.",
    "newobj_ex_of_int": b"ca\nB\n)K\x01\x92.",
    "obj_of_nothing": b"(o.",
    "stack_global_of_int": b"K\x01K\x02\x93.",
    "global_utf8": b"c\xff\nB\n.",
    "getattr_of_int": b"c__builtin__\ngetattr\n(K\x01K\x02tR.",
    "encode_wide": b"c_codecs\nencode\n(V\\u0100\nX\x06\x00\x00\x00latin1tR.",
    "two_states": b"ca\nB\n)RK\x01bK\x02b.",
    "state_of_int": b"K\x01K\x02b.",
    "frame": b"\x80\x04\x95\xff\xff\x00\x00\x00\x00\x00\x00N.",
    "memo_gap": b"Nq\x05.",
    "get_text": b"gx\n.",
    "inst_cut": b"(ia\nB",
    "persid_cut": b"Pa",
}


def pickles():
    out = {**WHOLE, **{f"refused_{name}": data for name, data in REFUSED.items()}}
    for path in sorted((DATA / "torch").glob("*.pt")):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                for name in file.namelist():
                    if name.endswith(".pkl"):
                        out[f"{path.stem}_{pathlib.Path(name).stem}"] = file.read(name)
    for path in sorted((DATA / "dcp").glob("*/.metadata")):
        out[f"metadata_{path.parent.name}"] = path.read_bytes()
    return out


# Files of torch.save.


def storage(kind="FloatStorage", key="0", count=4, tail=b""):
    return (b"((X\x07\x00\x00\x00storagectorch\n" + kind.encode() + b"\nX" + struct.pack("<I", len(key)) +
            key.encode() + b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", count) + tail + b"tQ")


def tensor(function="_rebuild_tensor_v2", kind="FloatStorage", key="0", count=4, offset=b"K\x00", size=b"K\x04\x85",
           stride=b"K\x01\x85", rest=b"\x89N", tail=b""):
    return (b"ctorch._utils\n" + function.encode() + b"\n" + storage(kind, key, count, tail) + offset + size + stride +
            rest + b"tR")


def torch_zip(value, records=(), method=zipfile.ZIP_STORED, version=b"3\n", prefix="a/", zip64=False, comment=b""):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        contents = {"data.pkl": P + value + b".", "version": version, "data/0": struct.pack("<4f", 1, 2, 3, 4)}
        contents.update(records)
        for name, content in contents.items():
            if content is None:
                continue
            info = zipfile.ZipInfo(prefix + name)
            info.compress_type = method if name == "data.pkl" else zipfile.ZIP_STORED
            with file.open(info, "w", force_zip64=zip64) as entry:
                entry.write(content)
        file.comment = comment
    return raw.getvalue()


def with_zip64_end(data):
    """The same zip, whose end record leaves the numbers to a zip64 one."""
    end = data.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack("<HII", data[end + 10:end + 20])
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    return data[:end] + record + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF,
                                                       0xFFFFFFFF, 0)


def with_zip64_sizes(data):
    """The same zip, of which the first entry's sizes and offset stand in the directory's extra field."""
    end = data.rindex(b"PK\x05\x06")
    size, offset = struct.unpack("<II", data[end + 12:end + 20])
    line = bytearray(data[offset:offset + 46])
    packed, unpacked, names, extras = struct.unpack("<IIHH", line[20:32])
    assert extras == 0
    line[20:32] = struct.pack("<IIHH", 0xFFFFFFFF, 0xFFFFFFFF, names, 40)
    line[42:46] = struct.pack("<I", 0xFFFFFFFF)
    extra = struct.pack("<HH4sHHQQQHH", 0x4246, 4, b"ZZZZ", 1, 24, unpacked, packed, 0, 0x5A5A, 0)
    directory = bytes(line) + data[offset + 46:offset + 46 + names] + extra + data[offset + 46 + names:offset + size]
    tail = bytearray(data[end:])
    tail[12:16] = struct.pack("<I", len(directory))
    return data[:offset] + directory + bytes(tail)


def patched(data, signature, at, new, last=False):
    """The zip with bytes replaced at a place of its first or last record of a kind."""
    where = (data.rindex if last else data.index)(signature) + at
    return data[:where] + new + data[where + len(new):]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def legacy(value=None, protocol=2, keys=("0",), counts=(4,), magic=0x1950A86A20F9469CFC6C, version=1001, keys_raw=None):
    out = pickle.dumps(magic, protocol) + pickle.dumps(version, protocol) + pickle.dumps({"little_endian": True}, protocol)
    out += P + (tensor() if value is None else value) + b"." + (keys_raw or pickle.dumps(list(keys), protocol))
    for count in counts:
        out += struct.pack("<Q", count) + struct.pack(f"<{min(count, 16)}f", *range(min(count, 16)))
    return out


def parameter(inner, function="_rebuild_parameter"):
    return b"ctorch._utils\n" + function.encode() + b"\n(" + inner + b"\x88ccollections\nOrderedDict\n)RtR"


def from_type(inner_function=b"ctorch._utils\n_rebuild_tensor_v2\n"):
    args = storage() + b"K\x00K\x04\x85K\x01\x85\x89N"
    return (b"ctorch._tensor\n_rebuild_from_type_v2\n(" + inner_function + b"ctorch\nTensor\n" + args + b"t}tR")


def torch_files():
    good = torch_zip(tensor())
    values = {
        "tensor": tensor(),
        "tensor_v1": tensor("_rebuild_tensor", rest=b""),
        "metadata": tensor(rest=b"\x89N}"),
        "conjugate": tensor(rest=b"\x89N}X\x04\x00\x00\x00conj\x88s"),
        "v3": tensor("_rebuild_tensor_v3", "UntypedStorage", count=16, rest=b"\x89Nctorch\nfloat32\n"),
        "v3_metadata": tensor("_rebuild_tensor_v3", "UntypedStorage", count=16, rest=b"\x89Nctorch\nfloat32\n}"),
        "v3_unknown": tensor("_rebuild_tensor_v3", "UntypedStorage", count=16, rest=b"\x89Nctorch\nuint7\n"),
        "untyped": tensor(kind="UntypedStorage", count=16),
        "unknown_storage": tensor(kind="QInt8Storage", count=16),
        "size_object": tensor(size=b"ctorch\nSize\n(K\x04\x85tR"),
        "scalar": tensor(size=b")", stride=b")"),
        "no_elements": tensor(size=b"K\x00K\x04\x86", stride=b"K\x01K\x01\x86", offset=b"K\x63"),
        "view": tensor(tail=b"(X\x01\x00\x00\x00vK\x01K\x02t", size=b"K\x02\x85"),
        "view_none": tensor(tail=b"N"),
        "view_parts": tensor(tail=b"K\x01\x85"),
        "view_leaves": tensor(tail=b"(X\x01\x00\x00\x00vK\x01K\x09t"),
        "parameter": parameter(tensor()),
        "parameter_state": parameter(tensor(), "_rebuild_parameter_with_state"),
        "parameter_of_int": parameter(b"K\x01"),
        "from_type": from_type(),
        "from_type_nested": from_type(b"ctorch._tensor\n_rebuild_from_type_v2\n"),
        "sparse": b"ctorch._utils\n_rebuild_sparse_tensor\n(K\x01tR",
        "dict": b"}(X\x01\x00\x00\x00a" + tensor() + b"K\x07" + tensor() + b"N" + tensor() + b"u",
        "nested": b"}X\x01\x00\x00\x00a}(X\x01\x00\x00\x00b" + tensor() + b"X\x01\x00\x00\x00c](" + tensor() + b"NK\x01)eus",
        "ordered": b"ccollections\nOrderedDict\n)RX\x01\x00\x00\x00a" + tensor() + b"s",
        "shared_dict": b"(}q\x00X\x01\x00\x00\x00a" + tensor() + b"sh\x00t",
        "twice": b"}(X\x01\x00\x00\x00a" + tensor() + b"X\x01\x00\x00\x00a" + tensor() + b"u",
        "in_object": b"ca\nB\n)R" + tensor() + b"b",
        "set": b"\x8f(" + tensor() + b"\x90",
        "state": tensor() + b"}b",
        "offset_negative": tensor(offset=b"J\xff\xff\xff\xff"),
        "offset_text": tensor(offset=b"X\x01\x00\x00\x00a"),
        "offset_beyond": tensor(offset=b"K\x09"),
        "offset_large": tensor(offset=b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
        "size_text": tensor(size=b"X\x01\x00\x00\x00a"),
        "size_long": tensor(size=b"(" + b"K\x01" * 65 + b"t"),
        "size_large": tensor(size=b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
        "stride_rank": tensor(stride=b"K\x01K\x01\x86"),
        "stride_large": tensor(stride=b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
        "storage_size": tensor(count=5),
        "storage_missing": tensor(key="9"),
        "storage_of_int": b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00K\x04\x85K\x01\x85\x89NtR",
        "args_of_int": b"ctorch._utils\n_rebuild_tensor_v2\nca\nB\n)R\x85R",
    }
    out = {name: torch_zip(value) for name, value in values.items()}
    kinds = "Double Float Half BFloat16 Long Int Short Char Byte Bool".split()
    for kind, width in zip(kinds, (8, 4, 2, 2, 8, 4, 2, 1, 1, 1)):
        records = {"data/0": bytes(4 * width)}
        out[f"kind_{kind}"] = torch_zip(tensor(kind=kind + "Storage"), records)
        out[f"big_endian_{kind}"] = torch_zip(tensor(kind=kind + "Storage"), {**records, "byteorder": b"big"})
    zips = {
        "deflated": torch_zip(tensor(), method=zipfile.ZIP_DEFLATED),
        "deflated_storage": torch_zip(b"N", {"data/0": None}, method=zipfile.ZIP_DEFLATED),
        "zip64_local": torch_zip(tensor(), zip64=True),
        "zip64_end": with_zip64_end(good),
        "zip64_sizes": with_zip64_sizes(good),
        "zip64_sizes_lack": patched(patched(good, CENTRAL, 20, b"\xff" * 4), CENTRAL, 24, b"\xff" * 4),
        "zip64_end_far": patched(with_zip64_end(good), b"PK\x06\x07", 8, b"\xff" * 8),
        "zip64_end_elsewhere": patched(with_zip64_end(good), b"PK\x06\x07", 8, bytes(8)),
        "zip64_end_disks": patched(with_zip64_end(good), b"PK\x06\x06", 16, b"\1"),
        "comment": torch_zip(tensor(), comment=b"what a file"),
        "hidden_version": torch_zip(tensor(), {".data/version": b"3\n", "version": None}),
        "little": torch_zip(tensor(), {"byteorder": b"little"}),
        "byteorder": torch_zip(tensor(), {"byteorder": b"middle"}),
        "version": torch_zip(tensor(), version=b"99\n"),
        "version_missing": torch_zip(tensor(), {"version": None}),
        "version_long": torch_zip(tensor(), version=b"3" * 100),
        "no_pickle": torch_zip(tensor(), {"data.pkl": None}),
        "constants": torch_zip(tensor(), {"constants.pkl": b"N."}),
        "no_prefix": torch_zip(tensor(), prefix=""),
        "empty": b"PK\x03\x04" + b"PK\x05\x06" + bytes(18),
        "cut": good[:-30],
        "short": b"PK\x03\x04",
        "disks": patched(good, END, 4, b"\1"),
        "entry_disk": patched(good, CENTRAL, 34, b"\1"),
        "encrypted": patched(good, CENTRAL, 8, b"\1"),
        "method": patched(good, CENTRAL, 10, b"\x63"),
        "stored_sizes": patched(good, CENTRAL, 24, b"\1\0\0\0"),
        "crc": patched(good, CENTRAL, 16, b"\1\2\3\4"),
        "crc_of_storage": patched(good, CENTRAL, 16, b"\1\2\3\4", last=True),
        "crc_none": patched(good, CENTRAL, 16, bytes(4), last=True),
        "crc_deflated": patched(torch_zip(tensor(), method=zipfile.ZIP_DEFLATED), CENTRAL, 16, b"\1\2\3\4"),
        "inflated_size": patched(torch_zip(tensor(), method=zipfile.ZIP_DEFLATED), CENTRAL, 24, b"\xff\0\0\0"),
        "inflated_bomb": patched(torch_zip(tensor(), method=zipfile.ZIP_DEFLATED), CENTRAL, 24, b"\xff\xff\xff\0"),
        "inflated_beyond": patched(torch_zip(tensor(), method=zipfile.ZIP_DEFLATED), CENTRAL, 24, b"\xff\xff\xff\x7f"),
        "header_offset": patched(good, CENTRAL, 42, b"\xff\xff\0\0"),
        "no_local": patched(good, LOCAL, 0, b"XX"),
        "no_local_of_storage": patched(good, LOCAL, 0, b"XX", last=True),
        "local_name": patched(good, LOCAL, 30, b"b"),
        "local_extra": patched(good, LOCAL, 28, b"\xff\xff"),
        "extra_leaves": with_zip64_sizes(good).replace(b"FB\x04\x00", b"FB\xff\xff"),
        "directory_entry": patched(good, CENTRAL, 0, b"XX"),
        "directory_leaves": patched(good, CENTRAL, 28, b"\xff\xff"),
        "directory_offset": patched(good, END, 16, b"\xff\xff\xff\x7f"),
        "directory_count": patched(patched(good, END, 8, b"\xff\x7f"), END, 10, b"\xff\x7f"),
        "tar": bytes(257) + b"ustar" + bytes(250),
        "safetensors": b"\x40\0\0\0\0\0\0\0{}" + b" " * 70,
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
        "html": b"<!DOCTYPE html><html></html>",
        "text": b"hello",
        "zeros": bytes(600),
        "storage_in_dict": torch_zip(b"}X\x01\x00\x00\x00a](K\x01" + tensor(offset=b"K\x09") + b"es"),
        "number_key": torch_zip(b"}K\x05" + tensor(offset=b"K\x09") + b"s"),
        "no_bytes": b"",
        "legacy": legacy(),
        "legacy_0": legacy(protocol=0),
        "legacy_4": legacy(protocol=4),
        "legacy_dict": legacy(b"}X\x01\x00\x00\x00a" + tensor() + b"s"),
        "legacy_view": legacy(tensor(tail=b"(X\x01\x00\x00\x00vK\x01K\x02t", size=b"K\x02\x85")),
        "legacy_magic": legacy(magic=0x1950A86A20F9469CFC6C << 8),
        "legacy_magic_small": b"\x80\x02K\x01X\x0a\x00\x00\x00\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
        "legacy_magic_text": b"\x80\x02C\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
        "legacy_version": legacy(version=7),
        "legacy_storage": legacy(tensor(kind="QInt8Storage")),
        "legacy_keys": legacy(keys_raw=b"N."),
        "legacy_key": legacy(keys=(1,)),
        "legacy_key_unused": legacy(keys=("1",)),
        "legacy_key_twice": legacy(keys=("0", "0"), counts=(4, 4)),
        "legacy_key_missing": legacy(keys=()),
        "legacy_count": legacy(counts=(2**61,)),
        "legacy_count_wide": legacy(counts=(2**63,)),
        "legacy_long": legacy(counts=(1000,)),
        "legacy_cut": legacy(counts=()),
    }
    zips["entry_twice"] = torch_zip(tensor(), {"data/1": b"x"}).replace(b"a/data/1", b"a/data/0")
    out.update({f"zip_{name}": data for name, data in zips.items()})
    for path in sorted((DATA / "torch").glob("*.pt")):
        out[path.stem] = path.read_bytes()
    return out


# JSON, and what is made of it.


def jsons():
    texts = {
        "values": '{"a":[1,-2,1.5e-3,1E+2,true,false,null,"x",{}],"b":{"c":[]}}',
        "escapes": r'"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"',
        "utf8": '"é€😀"',
        "mark": "\ufeff{}",
        "python": "[NaN,Infinity,-Infinity]",
        "numbers": "[0,-0,0.0,1e5,18446744073709551615,18446744073709551616,-9223372036854775808,-9223372036854775809]",
        "space": " [ 1 , 2 ]\r\n\t",
        "nested": "[" * 40 + "]" * 40,
        "deep": "[" * 65 + "]" * 65,
        "object_deep": '{"a":' * 65 + "1" + "}" * 65,
        "twice": '{"a":1,"a":2}',
        "empty": "",
        "more": "{} x",
        "control_after": "{}\x01",
        "comma": "[1,]",
        "colon": '{"a" 1}',
        "key": "{1:2}",
        "open": '{"a":1',
        "open_array": "[1",
        "array_end": "[1}",
        "string_open": '"a',
        "control": '"a\nb"',
        "nul": '"a\0"',
        "escape": r'"\q"',
        "escape_open": '"\\',
        "unicode": r'"\u12"',
        "unicode_hex": r'"\u12zz"',
        "surrogate": r'"\ud800"',
        "surrogate_low": r'"\udc00"',
        "surrogate_pair": r'"\ud800\u0041"',
        "sign": "-",
        "fraction": "1.",
        "exponent": "1e",
        "huge": "1e999",
        "word": "nul",
        "lfs": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1\n",
    }
    out = {name: text.encode() for name, text in texts.items()}
    out["bad_utf8"] = b'"\xff"'
    for name, data in {"overlong": b"\xe0\x80\x80", "half": b"\xed\xa0\x80", "beyond": b"\xf4\x90\x80\x80",
                       "overlong4": b"\xf0\x80\x80\x80", "cut": b"\xe2\x82", "cut4": b"\xf0\x9f\x98"}.items():
        out[f"utf8_{name}"] = b'"' + data + b'"'
    for path in sorted((DATA / "hf").glob("*/config.json")):
        out[f"config_{path.parent.name}"] = path.read_bytes()
    return out


def safetensors_files():
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
              "F8_E4M3": 1, "F8_E5M2": 1}

    def framed(header, data=b"", bytes_=None):
        raw = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
        return struct.pack("<Q", len(raw) if bytes_ is None else bytes_) + raw + data

    every, end = {"__metadata__": {"format": "pt", "a": "b"}}, 0
    for name, width in widths.items():
        every[name] = {"dtype": name, "shape": [2, 3], "data_offsets": [end, end + 6 * width]}
        end += 6 * width
    a = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    headers = {
        "one": {"a": a},
        "quoted": {'é "x\\"': a},
        "scalar": {"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}},
        "none": {},
        "empty_tensor": {"a": {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]}},
        "two": {"b": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}, "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}},
        "no_name": {"": a},
        "control": {"a\n": a},
        "not_object": {"a": 1},
        "null": {"a": None},
        "boolean": {"a": True},
        "negative": {"a": dict(a, shape=[-1])},
        "float": {"a": dict(a, shape=[1.5])},
        "extent_text": {"a": dict(a, shape=["x"])},
        "extent_array": {"a": dict(a, shape=[[1]])},
        "shape_number": {"a": dict(a, shape=1)},
        "shape_object": {"a": dict(a, shape={})},
        "shape_long": {"a": dict(a, shape=[1] * 65)},
        "shape_large": {"a": dict(a, shape=[2**40, 2**40])},
        "shape_wide": {"a": dict(a, shape=[2**62])},
        "offsets_number": {"a": dict(a, data_offsets=1)},
        "offsets_text": {"a": dict(a, data_offsets=["x", 1])},
        "offsets_many": {"a": dict(a, data_offsets=[0, 8, 9])},
        "offsets_few": {"a": dict(a, data_offsets=[0])},
        "offsets_turned": {"a": dict(a, data_offsets=[8, 0])},
        "offsets_size": {"a": dict(a, data_offsets=[0, 7])},
        "hole": {"a": a, "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]}},
        "overlap": {"a": a, "b": {"dtype": "F32", "shape": [], "data_offsets": [4, 8]}},
        "start": {"a": dict(a, data_offsets=[1, 9])},
        "long": {"a": dict(a, shape=[4], data_offsets=[0, 16])},
        "dtype": {"a": dict(a, dtype="F4")},
        "dtype_number": {"a": dict(a, dtype=1)},
        "key": {"a": dict(a, extra=1)},
        "no_dtype": {"a": {"shape": [2], "data_offsets": [0, 8]}},
        "no_shape": {"a": {"dtype": "F32", "data_offsets": [0, 8]}},
        "no_offsets": {"a": {"dtype": "F32", "shape": [2]}},
        "metadata": {"__metadata__": 1},
        "metadata_value": {"__metadata__": {"a": 1}},
    }
    raw = {
        "twice": b'{"a":%s,"a":%s}' % ((json.dumps(a).encode(),) * 2),
        "metadata_twice": b'{"__metadata__":{},"__metadata__":{}}',
        "metadata_key_twice": b'{"__metadata__":{"a":"b","a":"c"}}',
        "dtype_twice": b'{"a":{"dtype":"F32","dtype":"F32"}}',
        "array": b"[]",
        "space": b"{}   ",
        "no_end": b"{} x",
        "not_json": b"{x}",
        "utf8": b'{"\xff":%s}' % json.dumps(a).encode(),
    }
    out = {"file_every": framed(every, bytes(range(256))[:end])}
    for name, header in {**headers, **raw}.items():
        text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
        out[f"header_{name}"] = b"H\x08" + text
        out[f"file_{name}"] = framed(header, bytes(8))
    out["file_long_claim"] = framed({"a": a}, bytes(8), 2**40)
    out["file_cut"] = framed({"a": a}, b"", 99)
    out["file_zero"] = bytes(8)
    out["file_zeros"] = bytes(600)
    out["file_text"] = b"Access denied, sorry\n"
    out["file_short"] = b"\1\2"
    out["file_empty"] = b""
    out["file_zip"] = torch_zip(tensor())
    out["file_lfs"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
    out["file_html"] = b"<!DOCTYPE html><html></html>"
    indices = {
        "good": {"metadata": {"total_size": 8}, "weight_map": {"a": "x.safetensors", "b": "y.safetensors"}},
        "no_metadata": {"weight_map": {"a": "x"}},
        "float_size": {"metadata": {"total_size": 8.0}, "weight_map": {"a": "x"}},
        "no_map": {"metadata": {}},
        "map_list": {"weight_map": []},
        "map_empty": {"weight_map": {}},
        "file_number": {"weight_map": {"a": 1}},
        "path": {"weight_map": {"a": "../x"}},
        "dots": {"weight_map": {"a": ".."}},
        "file_empty": {"weight_map": {"a": ""}},
        "nul": {"weight_map": {"a": "x\0y"}},
        "array": [],
    }
    for name, index in indices.items():
        out[f"index_{name}"] = b"I" + json.dumps(index).encode()
    out["index_twice"] = b'I{"weight_map":{"a":"x","a":"y"}}'
    out["index_not_json"] = b"I{"
    for path in sorted((DATA / "hf").glob("*/*.index.json")):
        out[f"index_{path.parent.name}"] = b"I" + path.read_bytes()
    for path in sorted((DATA / "hf").glob("*/*.safetensors"), key=lambda path: path.stat().st_size)[:3]:
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        out[f"header_{path.parent.name}"] = b"H\x08" + data[8:8 + size]
    return out


# Names in a folder, each with the file's content behind a tab.


def folders_of_names():
    shard = "model-00001-of-00002.safetensors"

    def index(**places):
        return "model.safetensors.index.json\t" + json.dumps({"weight_map": places})

    def weights(*names):
        header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, name in enumerate(names)}
        raw = json.dumps(header)
        return struct.pack("<Q", len(raw)).decode("latin1") + raw + "\0" * len(names)

    folders = {
        "nothing": [],
        "config": ["config.json"],
        "weights": ["x.safetensors"],
        "weights_and_config": ["x.safetensors", "config.json"],
        "original": ["consolidated.00.pth"],
        "torch": ["pytorch_model_old.bin"],
        "two_ways": ["model.safetensors\t" + weights("a"), "pytorch_model.bin"],
        "index": [index(a=shard, b="x.safetensors")],
        "index_bad": ["model.safetensors.index.json\t{"],
        "index_of_pointer": [index(a=shard), f"{shard}\tversion https://git-lfs"],
        "index_whole": [index(a=shard), f"{shard}\t{weights('a')}"],
        "index_lacks": [index(a=shard), f"{shard}\t{weights(*'abcdef')}"],
        "index_has_more": [index(z=shard), f"{shard}\t{weights('a')}"],
        "index_of_long_name": [index(a="x" * 300)],
        "numbered": [shard, "model-00002-of-00002.safetensors"],
        "numbered_torch": ["pytorch_model-00001-of-00002.bin"],
        "adapter": ["adapter_config.json"],
        "deepspeed": ["mp_rank_00_model_states.pt"],
        "cache": ["snapshots/a/config.json", "snapshots/b/config.json", "refs/main\ta"],
        "cache_unknown": ["snapshots/a/config.json", "snapshots/b/config.json", "refs/main\tc"],
        "cache_empty": ["snapshots/"],
        "cache_below": ["models--a/snapshots/a/config.json"],
        "below": ["a/config.json"],
        "below_two": ["a/b/params.json", "c/mp_rank_00/x"],
        "below_many": [f"{name}/config.json" for name in "abcdef"],
        "file": ["x.txt\thello", "model.gguf\tGGUF"],
        "deep": ["a/b/c/d/e"],
    }
    return {name: "\n".join(lines).encode("latin1") for name, lines in folders.items()}


# .metadata of torch.distributed.checkpoint.


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    return b"\x8a" + bytes([8]) + struct.pack("<q", value)


def made(name, **state):
    out = b"ctorch.distributed.checkpoint.metadata\n" + name.encode() + b"\n)\x81}("
    for key, value in state.items():
        out += text(key) + value
    return out + b"ub"


def size(*extents):
    return b"ctorch\nSize\n((" + b"".join(map(number, extents)) + b"ttR"


def entries(pairs):
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def properties(dtype=b"ctorch\nfloat32\n"):
    return b"ctorch.distributed.checkpoint.metadata\nTensorProperties\n)\x81(" + dtype + b"ctorch\nstrided\n\x89tb"


def chunk(offsets, sizes):
    return made("ChunkStorageMetadata", offsets=size(*offsets), sizes=size(*sizes))


def item(shape, chunks, of=None):
    return made("TensorStorageMetadata", properties=properties() if of is None else of, size=size(*shape),
                chunks=b"](" + b"".join(chunks) + b"e")


def place(name, offset=None):
    rest = {} if offset is None else {"offset": size(*offset)}
    return made("MetadataIndex", fqn=text(name), **rest)


def info(file="__0_0.distcp", offset=0, length=100, **more):
    return made("_StorageInfo", relative_path=text(file), offset=number(offset), length=number(length), **more)


def index(items, places, **more):
    return P + made("Metadata", state_dict_metadata=items, storage_data=places, **more) + b"."


def metadata_files():
    halves = [chunk((0,), (2,)), chunk((2,), (2,))]
    places = entries([(place("a", (0,)), info()), (place("a", (2,)), info(offset=100))])
    blob = made("BytesStorageMetadata")
    good = entries([(text("a"), item((4,), halves))])

    def one(value, stored=places, **more):
        return index(entries([(text("a"), value)]), stored, **more)

    out = {
        "good": index(good, places),
        "version": index(good, places, version=text("1.0.0")),
        "version_none": index(good, places, version=b"N"),
        "version_new": index(good, places, version=text("2.0")),
        "version_number": index(good, places, version=b"K\x01"),
        "bytes": one(blob, entries([(place("a"), info())])),
        "bytes_no_place": one(blob),
        "offset_none": one(blob, entries([(made("MetadataIndex", fqn=text("a"), offset=b"N"), info())])),
        "kind": one(made("Other")),
        "not_object": one(b"K\x01"),
        "no_dict": index(b"N", places),
        "nothing": P + made("Metadata") + b".",
        "root": b"\x80\x02N.",
        "item_twice": index(b"}(" + (text("a") + item((4,), halves)) * 2 + b"u", places),
        "name_number": index(entries([(b"K\x01", item((4,), halves))]), places),
        "name_long": index(entries([(text("n" * 5000), item((4,), halves))]), places),
        "placed_twice": one(item((4,), halves), entries([(place("a", (0,)), info())] * 2)),
        "no_fqn": one(item((4,), halves), entries([(made("MetadataIndex"), info())])),
        "no_place": one(item((4,), halves), entries([])),
        "transformed": one(blob, entries([(place("a"), info(transform_descriptors=b"](" + text("zstd") + b"e"))])),
        "transformed_oddly": one(blob, entries([(place("a"), info(transform_descriptors=b"K\x01"))])),
        "transformed_not": one(blob, entries([(place("a"), info(transform_descriptors=b"]"))])),
        "offset_negative": one(blob, entries([(place("a"), info(offset=-1))])),
        "path": one(blob, entries([(place("a"), info("../x"))])),
        "path_long": one(blob, entries([(place("a"), info("x" * 300))])),
        "path_empty": one(blob, entries([(place("a"), info(""))])),
        "path_number": one(blob, entries([(place("a"), made("_StorageInfo", relative_path=b"K\x01"))])),
        "no_length": one(blob, entries([(place("a"), made("_StorageInfo", relative_path=text("x"), offset=b"K\x01"))])),
        "gap": one(item((5,), halves)),
        "overlap": one(item((4,), [halves[0], halves[0], halves[1]])),
        "overlap_same_count": one(item((4,), [halves[0], halves[0]])),
        "outside": one(item((3,), halves)),
        "rank": one(item((4, 1), halves)),
        "empty_chunk": one(item((4,), [*halves, chunk((4,), (0,))])),
        "no_elements": one(item((0,), [])),
        "chunks_number": one(made("TensorStorageMetadata", properties=properties(), size=size(4), chunks=b"K\x01")),
        "no_chunks": one(made("TensorStorageMetadata", properties=properties(), size=size(4))),
        "size_number": one(made("TensorStorageMetadata", properties=properties(), size=b"K\x01", chunks=b"]")),
        "size_text": one(made("TensorStorageMetadata", properties=properties(), size=b"(" + text("x") + b"t", chunks=b"]")),
        "size_tuple": one(made("TensorStorageMetadata", properties=properties(), size=b"K\x00\x85", chunks=b"]")),
        "size_long": one(item((1,) * 65, [])),
        "axes": one(item((2,) * 7, [chunk([i >> b & 1 for b in range(7)], (1,) * 7) for i in range(128)]),
                    entries([(place("a", [i >> b & 1 for b in range(7)]), info(offset=i * 100)) for i in range(128)])),
        "grid": one(item((2, 2), [chunk((i, j), (1, 1)) for i in (0, 1) for j in (0, 1)]),
                    entries([(place("a", (i, j)), info(offset=200 * i + 100 * j)) for i in (0, 1) for j in (0, 1)])),
        "dtype_unknown": one(item((4,), halves, properties(b"ctorch\nuint7\n"))),
        "dtype_elsewhere": one(item((4,), halves, properties(b"cother\nfloat32\n"))),
        "dtype_text": one(item((4,), halves, properties(text("float32")))),
        "properties_number": one(item((4,), halves, b"K\x01")),
        "properties_plain": one(item((4,), halves, b"(ctorch\nfloat32\nt")),
        "many_attributes": one(b"ca\nB\n)\x81}(" + b"".join(text(str(i)) + b"N" for i in range(300)) + b"ub"),
        "chunk_mentioned_often": one(made("TensorStorageMetadata", properties=properties(), size=size(4),
                                          chunks=b"](" + halves[0] + b"q\x00" + b"h\x00" * 500 + b"e")),
        "globals": b"\x80\x02(c\xff\na\nt.",
    }
    for path in sorted((DATA / "dcp").glob("*/.metadata")) + sorted((DATA / "megatron-dist").glob("**/.metadata")):
        out["_".join(path.parts[-3:-1])] = path.read_bytes()
    out.update({f"pickle_{name}": data for name, data in {**WHOLE, **REFUSED}.items()})
    return out


def main():
    makers = {"pickle": pickles, "torch": torch_files, "json": jsons, "safetensors": safetensors_files,
              "metadata": metadata_files, "names": folders_of_names}
    for target, make in makers.items():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
