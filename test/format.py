#!/usr/bin/env python3
# test/format.py -- a reader of luge's files written from docs/format.md alone.
#
#   format.py scan DIR [TREE]   the pairs, as `luge scan` prints them
#   format.py trees DIR         name and count of each tree
#   format.py log DIR           the log's records, a JSON object a line
#   format.py replay DIR [TREE] the pairs again, from the log's first record on
#   format.py check DIR         sums, and that each page has one place
#   format.py superblock DIR    the fields of the newest superblock
#
# It shares no line with luge: where the two differ, luge or the document is
# wrong.  It expects that nobody has DIR open.  Numbers like "4.2" are sections
# of docs/format.md.  Not here: writing, and being quick.
import base64
import json
import os
import struct
import sys

from xxh3 import u32, u64, xxh3

KEEP_TREE = 1 << 62


class Malformed(Exception):
    pass


def must(what, sentence):
    if not what:
        raise Malformed(sentence)


def u16(b, at):
    return struct.unpack_from("<H", b, at)[0]


def whole(path):
    with open(path, "rb") as f:
        return f.read()


# ------------------------------------------------------------ the page file --

class Conf:                                                             # 1
    def __init__(self, path):
        lines = whole(path + "/conf").decode("ascii").split("\n")
        must(lines[0] == "luge", "conf is not luge's")
        fields = dict(line.split(" ") for line in lines[1:] if line)
        must(int(fields["format"]) == 1, "another format")
        self.page_bytes = int(fields["page_bytes"])
        self.instance = bytes.fromhex(fields["instance"])


class Superblock:                                                       # 2
    def __init__(self, b, slot, conf):
        b = b[slot * conf.page_bytes:][:168]
        must(len(b) == 168 and b[:8] == b"lugedb\0\0", "no superblock")
        (self.format, self.page_bytes) = struct.unpack_from("<II", b, 8)
        (self.number, self.seq, self.time_ns, self.catalog,
         self.catalog_count, self.page_count, self.stored_first,
         self.stored_pages, self.segment, self.offset, self.chain,
         self.publication) = struct.unpack_from("<12Q", b, 32)
        must(b[16:32] == conf.instance, "of another database")
        must(u64(b, 160) == xxh3(b[:160], self.number), "superblock's sum")
        must(self.number & 1 == slot, "in the wrong slot")
        must(self.format == 1 and self.page_bytes == conf.page_bytes, "format")


def newest_superblock(b, conf):
    found = []
    for slot in 0, 1:
        try:
            found.append(Superblock(b, slot, conf))
        except Malformed:
            pass
    must(found, "neither superblock is valid")
    return max(found, key=lambda s: s.number)


class Pages:                                                            # 3
    def __init__(self, path, conf):
        self.size = conf.page_bytes
        self.bytes = whole(path + "/db")
        self.seen = {}                      # page: what it is
        self.sharing = False                # are there pins?

    def claim(self, first, count, what):
        for number in range(first, first + count):
            if self.sharing and self.seen.get(number) == what != "free":
                continue                    # forks and snapshots: 6.3
            must(number not in self.seen, "page %d is %s and %s" %
                 (number, self.seen.get(number), what))
            self.seen[number] = what

    def page(self, number, what):                                       # 3.1
        self.claim(number, 1, what)
        page = self.bytes[number * self.size:][:self.size]
        must(len(page) == self.size, "page %d is cut short" % number)
        must(u64(page, 0) == xxh3(page[8:], number), "page %d's sum" % number)
        return page

    def pairs(self, number, level=None):
        """The pairs of the tree whose root is page NUMBER."""
        if not number:
            return
        page = self.page(number, "of a tree")
        kind, own_level = page[16], page[17]
        count, sizes, low, dead, run = struct.unpack_from("<5H", page, 18)
        if level is None and kind == 4:
            yield from self.patch(page, count, sizes).items()
            return
        must(level is None or own_level == level, "level of page %d" % number)
        must(kind == (2 if own_level else 1), "kind of page %d" % number)
        prefix_size, words = sizes & 0xfff, sizes >> 12
        prefix = page[32:32 + prefix_size]
        slots = 32 + (prefix_size + 7) // 8 * 8
        infix = Infix(page[slots:slots + 8 * words])
        slots += 8 * words
        if own_level:
            yield from self.branch(page, own_level, count, prefix, infix,
                                   slots)
        else:
            yield from self.leaf(page, count, prefix, infix, slots)

    def leaf(self, page, count, prefix, infix, heads):                  # 3.2
        offsets = heads + 4 * count
        before = None
        for i in range(count):
            cell = u16(page, offsets + 2 * i)
            size, info = u16(page, cell), u16(page, cell + 2)
            suffix = page[cell + 4:cell + 4 + size]
            at = cell + 4 + size
            must(u32(page, heads + 4 * i) == infix.head(suffix), "a head")
            must(before is None or before < suffix, "the order of keys")
            before = suffix
            if info == 0xffff and page[16] == 4:
                yield suffix, None
            elif info & 0x8000:
                must(info == 0x8000 and page[16] == 1, "value info")
                yield prefix + suffix, self.extent(page, at)
            else:
                yield prefix + suffix, page[at:at + info]

    def patch(self, page, count, sizes):                                # 3.4
        must(page[17] == 0 and sizes == 1 << 12 and count, "a patch")
        below = u64(page, 32)
        root = self.page(below, "of a tree")
        pairs = dict(self.pairs(below, root[17]))
        for key, value in self.leaf(page, count, b"", Infix(b""), 40):
            must(value is not None or key in pairs, "what a patch removes")
            pairs[key] = value
        return {key: value for key, value in pairs.items()
                if value is not None}

    def extent(self, page, at):                                         # 3.5
        first, size, total, birth = struct.unpack_from("<4Q", page, at)
        self.claim(first, (size + self.size - 1) // self.size, "of a value")
        value = self.bytes[first * self.size:][:size]
        must(len(value) == size and xxh3(value, size) == total,
             "the large value at page %d" % first)
        return value

    def branch(self, page, level, count, prefix, infix, children):      # 3.3
        heads = children + 8 * (count + 1)
        offsets = heads + 4 * count
        separators = [prefix + self.separator(page, infix, heads, offsets, i)
                      for i in range(count)]
        for i in range(count + 1):
            for key, value in self.pairs(u64(page, children + 8 * i),
                                         level - 1):
                must(i == 0 or key >= separators[i - 1],
                     "a key below its separator")
                must(i == count or key < separators[i],
                     "a key not below its separator")
                yield key, value

    def separator(self, page, infix, heads, offsets, i):
        offset = u16(page, offsets + 2 * i)
        head = u32(page, heads + 4 * i)
        if offset <= 4:
            suffix = infix.put_back(head.to_bytes(4, "big"))[:offset]
        else:
            suffix = page[offset + 2:offset + 2 + u16(page, offset)]
        must(head == infix.head(suffix), "a separator's head")
        return suffix

    def free_list(self, s):                                             # 3.6
        for number in range(s.stored_first, s.stored_first + s.stored_pages):
            page = self.page(number, "of the free list")
            must(page[16] == 3, "kind of page %d" % number)
            for i in range(u16(page, 18)):
                first, count = struct.unpack_from("<QQ", page, 32 + 16 * i)
                self.claim(first, count, "free")


class Infix:                                                            # 3.2
    def __init__(self, b):
        self.at, self.bytes = 4, b""
        if b:
            self.at, self.bytes = b[0], b[2:2 + b[1]]
            must(1 <= self.at <= 3 and b[1] and
                 (2 + b[1] + 7) // 8 * 8 == len(b), "an infix")

    def head(self, suffix):
        end = self.at + len(self.bytes)
        there = suffix[self.at:end]
        must(there == self.bytes[:len(there)], "a key without the infix")
        return int.from_bytes((suffix[:self.at] + suffix[end:])[:4]
                              .ljust(4, b"\0"), "big")

    def put_back(self, head):
        return head[:self.at] + self.bytes + head[self.at:]


# ------------------------------------------------------------------- the log --

class Segment:                                                          # 4.1
    def __init__(self, path, number, conf):
        self.bytes = b = whole("%s/log/%010d" % (path, number))
        must(len(b) >= 4096 and b[:8] == b"lugelog\0", "no segment header")
        (self.version, self.flags) = struct.unpack_from("<II", b, 8)
        (self.number, self.previous_segment, self.previous_offset,
         self.previous_chain, self.first_seq, self.size,
         self.nonce, self.sum) = struct.unpack_from("<8Q", b, 32)
        must(b[16:32] == conf.instance and self.number == number and
             self.version == 1 and self.sum == xxh3(b[:88], number),
             "a segment that was not begun")


class Frame:                                                            # 4.2
    def __init__(self, b, at, end, chain, seed):
        must(at + 40 <= end, "no frame")
        (self.size, self.kind, self.flags, pad, self.seq, self.time_ns,
         self.durable, self.sum) = struct.unpack_from("<IBBHQQQQ", b, at)
        must(self.kind in (1, 2) and at + 40 + self.size <= end, "no frame")
        self.payload = b[at + 40:at + 40 + self.size]
        must(self.sum == xxh3(self.payload, xxh3(b[at:at + 32], chain ^ seed)),
             "a frame's sum")


class Log:
    def __init__(self, path, conf):
        self.path, self.conf = path, conf
        self.seed = xxh3(conf.instance, 1)
        self.cache = {}
        self.numbers = sorted(int(n) for n in os.listdir(path + "/log")
                              if n.isdigit())

    def segment(self, number):
        """The segment, or None if there is none or it was not begun."""
        if number not in self.cache:
            try:
                self.cache[number] = Segment(self.path, number, self.conf)
            except (Malformed, FileNotFoundError):
                self.cache[number] = None
        return self.cache[number]

    def frame(self, segment, at, chain, limit=1 << 63):
        try:
            return Frame(segment.bytes, at, min(len(segment.bytes), limit),
                         chain, self.seed)
        except Malformed:
            return None

    def followers(self, here):
        for number in self.numbers:
            if number == here + 1 or number > here and not number & 0xffffff:
                segment = self.segment(number)
                if segment and segment.previous_segment == here:
                    yield segment

    def successor(self, here):                                          # 4.4
        """The segment after HERE, and where HERE ends at the latest."""
        found = list(self.followers(here))
        thieves = [s for s in found if s.flags & 1]
        if not thieves:
            return (found[0] if found else None), 1 << 63
        for s in reversed(thieves):
            if self.frame(s, 4096, s.sum) or any(self.followers(s.number)):
                return s, s.previous_offset
        return thieves[-1], thieves[-1].previous_offset

    def frames(self, number, at, chain):
        while True:
            segment = self.segment(number)
            must(segment, "log segment %d is missing" % number)
            after, limit = self.successor(number)
            frame = self.frame(segment, at, chain, limit)
            while frame:
                yield frame
                at, chain = at + (40 + frame.size + 7) // 8 * 8, frame.sum
                frame = self.frame(segment, at, chain, limit)
            if not after or (after.previous_offset,
                             after.previous_chain) != (at, chain):
                return
            number, at, chain = after.number, 4096, after.sum

    def records(self, seq, number, at, chain):                          # 5
        """(first frame, operations) of each record behind record SEQ."""
        ops, fresh = [], True
        for frame in self.frames(number, at, chain):
            if frame.seq != seq + fresh:
                return
            seq, fresh = frame.seq, frame.kind == 2
            ops += operations(frame.payload)
            if fresh:
                yield frame, ops
                ops = []

    def all_records(self):
        """From the oldest segment on; its first frame may continue a record
        whose beginning is gone."""
        for number in self.numbers:
            s = self.segment(number)
            if s:
                for frame, ops in self.records(s.first_seq - 1, number, 4096,
                                               s.sum):
                    if number == 1 or frame.seq > s.first_seq:
                        yield frame, ops
                return


def varint(b, at):                                                      # 4.3
    value = shift = 0
    while True:
        byte = b[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def operations(b):
    at = 0
    while at < len(b):
        kind = b[at]
        tree, at = varint(b, at + 1)
        size, at = varint(b, at)
        key, at = b[at:at + size], at + size
        size, at = varint(b, at)
        value, at = b[at:at + size], at + size
        must(at <= len(b), "an operation is cut short")
        yield kind, tree, key, value


# --------------------------------------------------------- a whole database --

class Database:                                                         # 5, 6
    def __init__(self, path):
        self.conf = Conf(path)
        self.pages = Pages(path, self.conf)
        self.super = newest_superblock(self.pages.bytes, self.conf)
        self.log = Log(path, self.conf)
        self.names, self.trees = {}, {}     # name: number; number: pairs
        self.snapshots, self.taken = {}, {} # the same, number: trees by name

    def load(self):
        """What the newest superblock shows, and what the log adds to it."""
        s = self.super
        catalog = dict(self.pages.pairs(s.catalog))
        must(len(catalog) == s.catalog_count, "the catalog's count")
        self.pages.sharing = any(key[:1] == b"p" for key in catalog)
        for key, value in catalog.items():
            if key[:1] == b"n":
                self.names[key[1:]] = u64(value, 0)
            elif key[:1] in b"pSs":
                self.load_pin(catalog, key, value)
            else:
                must(key[:1] == b"i" and len(key) == 9, "a catalog key")
                self.load_tree(int.from_bytes(key[1:], "big"), value)
        for name, number in self.names.items():
            must(catalog[b"i" + number.to_bytes(8, "big")].endswith(name),
                 "a tree's name")
        return self.replay(self.log.records(s.seq, s.segment, s.offset,
                                            s.chain))

    def load_tree(self, number, record):                                # 6.1
        size = u16(record, 0)
        must(32 <= size <= len(record), "a catalog record")
        root, count = struct.unpack_from("<QQ", record, 8)
        self.trees[number] = dict(self.pages.pairs(root))
        must(len(self.trees[number]) == count, "count of tree %d" % number)
        must(self.names.get(record[size:], number) == number, "a tree's name")

    def tree_of(self, record):
        root, count = struct.unpack_from("<QQ", record, 8)
        tree = dict(self.pages.pairs(root))
        must(len(tree) == count, "the count of a pin")
        return tree

    def load_pin(self, catalog, key, value):                    # 6.3 to 6.5
        size, number = u16(value, 0), int.from_bytes(key[1:9], "big")
        must(size <= len(value), "a pin's record")
        if key[:1] == b"p":
            must(len(key) == 17 and u32(value, 4), "a pin's key or kids")
            self.tree_of(value)
        elif key[:1] == b"S":
            pin = b"p" + bytes(8) + u64(value, 16).to_bytes(8, "big")
            taken = self.taken.setdefault(u64(value, 8), {})
            self.snapshots[key[1:]] = u64(value, 8)
            must(not u64(value, 16) or pin in catalog, "a snapshot's pin")
            if u64(value, 16):
                whole = self.tree_of(catalog[pin])
                taken.update((k[1:], self.tree_of(whole[b"i" + v[::-1]]))
                             for k, v in whole.items() if k[:1] == b"n")
        else:
            self.taken.setdefault(number, {})[key[9:]] = self.tree_of(value)

    def fork(self, tree, name, value):
        source, at = varint(value, 0)
        if source:
            pairs = self.trees[source]
        else:
            size, at = varint(value, at)
            number = self.snapshots[value[at:at + size]]
            pairs = self.taken[number][value[at + size:]]
        self.names[name], self.trees[tree] = tree, dict(pairs)

    def snapshot(self, number, name, value):
        path = value[varint(value, 0)[1]:]
        self.snapshots[name] = number
        self.taken[number] = {
            tree: dict(self.trees[n]) for tree, n in self.names.items()
            if not path or tree == path or tree.startswith(path + b"/")}

    def replay(self, records):
        for frame, ops in records:
            for op in ops:
                self.apply(*op)
        return self

    def apply(self, kind, tree, key, value):                            # 4.3
        if kind == 1:
            self.trees[tree][key] = value
        elif kind == 2:
            self.trees[tree].pop(key, None)
        elif kind == 3:
            self.names[key], self.trees[tree] = tree, {}
        elif kind == 4:
            del self.names[key], self.trees[tree]
        elif kind == 5:
            self.names[key] = self.names.pop(value)
        elif kind == 7:
            self.fork(tree, key, value)
        elif kind == 8:
            self.snapshot(tree, key, value)
        elif kind == 9:
            del self.taken[self.snapshots.pop(key)]
        else:
            must(kind == 6, "operation of kind %d" % kind)
            self.trees[tree].clear()

    def check(self):
        self.pages.claim(0, 2, "a superblock")
        self.load()
        self.pages.free_list(self.super)
        missing = set(range(self.super.page_count)) - set(self.pages.seen)
        must(not missing, "pages without a place: %s" % sorted(missing)[:9])
        kinds = list(self.pages.seen.values())
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


# --------------------------------------------------------------------- main --

def shown(b):
    text = ""
    for c in b.decode("utf-8", "surrogateescape"):
        if c == "\\":
            text += "\\\\"
        elif c < " " or "\x7f" <= c < "\xa0" or "\udc80" <= c <= "\udcff":
            text += "".join("\\x%02x" % byte for byte in
                            c.encode("utf-8", "surrogateescape"))
        else:
            text += c
    return text


def plain(b):
    try:
        return b.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(b).decode("ascii")}


def print_pairs(db, name):
    must(name in db.names, "there is no tree " + shown(name))
    pairs = db.trees[db.names[name]]
    for key in sorted(pairs):
        print(shown(key), shown(pairs[key]), sep="\t")


def print_log(log):
    kinds = ["", "put", "del", "create", "drop", "rename", "clear"]
    for frame, ops in log.all_records():
        print(json.dumps({
            "seq": frame.seq, "time_ns": frame.time_ns,
            "durable": frame.durable, "full": bool(frame.flags & 1),
            "ops": [{"op": kinds[kind], "tree": tree, "key": plain(key),
                     "value": plain(value)} for kind, tree, key, value in ops],
        }))


def main(verb, path, tree="main"):
    sys.stdout.reconfigure(encoding="utf-8")
    db = Database(path)
    name = os.fsencode(tree)
    if verb == "scan":
        print_pairs(db.load(), name)
    elif verb == "replay":
        print_pairs(db.replay(db.log.all_records()), name)
    elif verb == "trees":
        db.load()
        for name in sorted(db.names):
            print(shown(name), len(db.trees[db.names[name]]), sep="\t")
    elif verb == "log":
        print_log(db.log)
    elif verb == "check":
        for kind, count in db.check().items():
            print(kind, count, sep="\t")
    elif verb == "superblock":
        for field, number in vars(db.super).items():
            print(field, number, sep="\t")
    else:
        must(False, "no verb " + verb)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Malformed as e:
        sys.exit("format.py: %s" % e)
