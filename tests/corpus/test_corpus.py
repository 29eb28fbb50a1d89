"""The stored corpus is what its generator makes, and covers the shapes it promises."""
import generate


def test_stored_files_are_what_the_generator_makes():
    made = {f'{name}.eml': octets for name, octets in generate.small()}
    stored = {path.name: path.read_bytes() for path in generate.HERE.glob('*.eml')}
    assert stored == made


def test_names_are_unique():
    names = [name for name, _ in generate.messages()]
    assert len(names) == len(set(names))
