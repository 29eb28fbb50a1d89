"""The schema of events (dist/events.schema.json), and the part of JSON Schema that it uses."""
import json
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((SOURCE / 'dist' / 'events.schema.json').read_text())
TYPES = {'string': str, 'integer': int}
KNOWN = {'type', 'const', 'enum', 'pattern', 'minimum'}


def _check_value(name, value, rule):
    assert set(rule) <= KNOWN, f'{name}: this check does not know {set(rule) - KNOWN}'
    if 'const' in rule:
        assert value == rule['const'] and type(value) is type(rule['const']), (name, value)
    if 'enum' in rule:
        assert value in rule['enum'], (name, value)
    if 'type' in rule:
        assert type(value) is TYPES[rule['type']], (name, value)
    if 'minimum' in rule:
        assert value >= rule['minimum'], (name, value)
    if 'pattern' in rule:
        assert re.search(rule['pattern'], value), (name, value)


def check_event(event):
    """Raises AssertionError if it does not fit the schema."""
    assert type(event) is dict
    assert set(SCHEMA['required']) <= set(event), event
    assert SCHEMA['additionalProperties'] is False
    for name, value in event.items():
        assert name in SCHEMA['properties'], f'{name} of {event}'
        _check_value(name, value, SCHEMA['properties'][name])


def read_events(text):
    """The events of a file, each checked."""
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        check_event(event)
    return events
