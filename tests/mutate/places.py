"""Places in C source where a mutant can be made: each one small change of one kind."""
import re

RELATIONS = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '=='}
ERRORS = {
    '-1': '0', 'MAILDROP_TEMP': 'MAILDROP_OK', 'SINK_BROKEN': 'SINK_OK', 'EINTR': 'EAGAIN',
    'EAGAIN': 'EINTR', 'ENOENT': 'EEXIST', 'EEXIST': 'ENOENT', 'ENOSPC': 'EIO',
    'REASON_UNAVAILABLE': 'REASON_OK',
}
KINDS = ('relation', 'negation', 'constant', 'call', 'logic', 'return', 'error',
         'flush-out', 'flush-ignored')


def masked(text):
    """The text with comments, strings, preprocessor lines and assertions blanked out, as long as
    before. An assertion that allows more changes nothing that is right."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text,
                  flags=re.S)
    text = re.sub(r'\bassert\([^;]*;', blank, text)
    lines, inside = text.split('\n'), False
    for i, line in enumerate(lines):  # preprocessor lines and those they go on in
        directive = inside or line.startswith('#')
        inside = directive and line.endswith('\\')
        lines[i] = ' ' * len(line) if directive else line
    return '\n'.join(lines)


def closing(text, at):
    """The offset behind the parenthesis that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == '(') - (text[i] == ')')
        if depth == 0:
            return i + 1
    raise ValueError('unbalanced')


def bodies(text):
    """(begin, end, return type) of each function body: a brace alone at a line's beginning."""
    at = text.find('\n{\n')
    while at >= 0:
        head = text[max(text.rfind('\n\n', 0, at), text.rfind('\n}', 0, at)) + 1:at].strip()
        end = text.find('\n}', at + 2)
        if end < 0:
            return
        if '(' in head:
            yield at + 3, end, head[:head.index('(')]
        at = text.find('\n{\n', end)


def _pattern(text, begin, end, pattern, change):
    for match in re.finditer(pattern, text[begin:end]):
        new = change(match.group(0))
        if new is not None:
            yield begin + match.start(), begin + match.end(), new


def chooses_one_of_both(text, at, stop):
    """a < b ? a : b: with <= it is the same."""
    rest = re.match(r' ([^;?]+?) \? ([^;?:]+?) : ([^;?:,)]+)(?=[;,)])', text[stop:])
    if not rest:
        return False
    right, *both = (re.sub(r'\s+', ' ', part) for part in rest.groups())
    left = re.sub(r'\s+', ' ', text[max(at - 200, 0):at].rstrip())
    return right in both and any(left.endswith(other) for other in both if other != right)


# the beginning of a declaration, up to somewhere in an array's size
ARRAY_SIZE = (r'\t+(?!return |else |case )(?:\w+ )+\**\w+(?:\[[^\]]*\])*'
              r'(?:, \**\w+(?:\[[^\]]*\])*)*\[[^\]]*$')
DESCRIPTOR = r'fds?(?:\[[^\]]*\])?'


def is_of_descriptor(text, at, stop):
    """fd < 0: what 0 is does not matter, for no process closes its first three descriptors."""
    return re.search(DESCRIPTOR + '$', text[:at].rstrip()) and re.match(r' 0\b', text[stop:])


def relation(text, begin, end, _):
    for at, stop, new in _pattern(text, begin, end, r'(?<= )(<=|>=|==|!=|<|>)(?= )',
                                  RELATIONS.get):
        if new in ('==', '!=') or not (chooses_one_of_both(text, at, stop)
                                       or is_of_descriptor(text, at, stop)):
            yield at, stop, new


def negation(text, begin, end, _):
    for match in re.finditer(r'\b(if|while) \(', text[begin:end]):
        at = begin + match.end() - 1
        stop = closing(text, at)
        yield at, stop, f'(!{text[at:stop]})'


def constant(text, begin, end, _):
    for match in re.finditer(r'(?<![\w.\-])(0x[0-9a-fA-F]+|\d+)(?=[uUlL]*\b)(?![\w.])',
                             text[begin:end]):
        line = text[text.rfind('\n', 0, begin + match.start()) + 1:begin + match.start()]
        if re.search(r'\[$|\bcase $', line) or re.match(ARRAY_SIZE, line):
            continue  # an array's size, a label: another kind of change
        if re.match(r'0\d', match.group(0)):
            continue  # a mode of files
        if re.search(r'\bcalloc\($', line) or re.search(DESCRIPTOR + ' (<|>=) $', line):
            continue  # more memory; a descriptor (see is_of_descriptor)
        value = int(match.group(0), 0)
        yield begin + match.start(), begin + match.end(), str(value + 1)
        if value > 1:
            yield begin + match.start(), begin + match.end(), str(value - 1)


def call(text, begin, end, _):
    for match in re.finditer(r'^\t+(?:\(void\)!?)?[\w.>\-]+\(', text[begin:end], re.M):
        at = begin + match.end() - 1
        if re.match(r'\s*(if|while|for|switch|return|sizeof|free)\b', match.group(0)):
            continue  # memory that is lost: the sanitized build's business
        stop = closing(text, at)
        if text[stop:stop + 1] == ';':
            start = begin + match.start() + len(re.match(r'\t+', match.group(0)).group(0))
            yield start, stop, ''


def logic(text, begin, end, _):
    yield from _pattern(text, begin, end, r'&&|\|\|', {'&&': '||', '||': '&&'}.get)


def early(text, begin, end, kind):
    """At the beginning of the function, behind its declarations."""
    if '*' in kind:
        value = ' NULL'
    elif re.search(r'\bvoid\b', kind):
        value = ''
    elif re.search(r'\b(int|bool|enum|size_t|ssize_t|uint\w+|int\w+)\b', kind):
        value = ' 0'
    else:
        return
    blank = text.find('\n\n', begin, end)
    at = blank + 2 if blank >= 0 and text[begin:blank].count(';') else begin
    yield at, at, f'\treturn{value};\n'


def error(text, begin, end, _):
    pattern = r'(?<=return )-1(?=;)|(?<== )-1(?=;)|\b(?:%s)\b' % '|'.join(
        word for word in ERRORS if word != '-1')
    yield from _pattern(text, begin, end, pattern, ERRORS.get)


def flushes(text, begin, end):
    for match in re.finditer(r'[\w.>\-]*\b(?:fsync|fdatasync|syncfs)\(', text[begin:end]):
        at = begin + match.start()
        yield at, closing(text, begin + match.end() - 1)


def flush_out(text, begin, end, _):
    for at, stop in flushes(text, begin, end):
        yield at, stop, f'((void){text[text.index("(", at):stop]}, 0)'


def flush_ignored(text, begin, end, _):
    for at, stop in flushes(text, begin, end):
        yield at, stop, f'((void)!{text[at:stop]}, 0)'


MAKERS = dict(zip(KINDS, (relation, negation, constant, call, logic, early, error, flush_out,
                          flush_ignored)))


def places(source, kind):
    """(begin, end, replacement) of each mutant of this kind in the text of a file."""
    text = masked(source)
    for begin, end, returns in bodies(text):
        for at, stop, new in MAKERS[kind](text, begin, end, returns):
            if kind in ('negation', 'flush-out', 'flush-ignored'):
                # the texts of strings come back
                old, real = text[at:stop], source[at:stop]
                new = new.replace(old, real) if kind != 'flush-out' else new
            yield at, stop, new
