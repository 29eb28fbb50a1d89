#!/usr/bin/python3
"""The shared library exports what the installed headers declare: no more, no less.

test_symbols.py LIBRARY HEADER_DIRECTORY
"""
import pathlib
import re
import subprocess
import sys

library, headers = sys.argv[1], pathlib.Path(sys.argv[2])
text = ''.join(path.read_text() for path in headers.glob('*.h'))
text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
declared = set(re.findall(r'\b(pop3_\w+)\(', text))
out = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True,
                     check=True).stdout
exported = {line.split()[2].split('@')[0] for line in out.splitlines() if line.split()[1] in 'TDBR'}
# sanitizers add symbols of their own to an instrumented library
exported = {name for name in exported if not re.match(r'__(asan|odr_asan|ubsan|sancov)', name)}
assert len(declared) > 30, declared
if declared != exported:
    sys.exit(f'declared only: {sorted(declared - exported)}; exported only: '
             f'{sorted(exported - declared)}')
