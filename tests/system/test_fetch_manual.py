"""Options, settings, manual pages and completions say the same."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def options():
    text = (ROOT / 'src/fetch/account/options.c').read_text()
    return set(re.findall(r'^\t\{"([a-z-]+)", (?:no|required)_argument', text, re.M))


def settings():
    text = (ROOT / 'src/fetch/account/config_file.c').read_text()
    return set(re.findall(r'CFG_(?:STR|INT|BOOL|STR_LIST|SEC)\("([a-z-]+)"', text))


def test_every_option_is_in_the_manual_and_nothing_else():
    text = (ROOT / 'man/valija-fetch.1').read_text()
    named = set(re.findall(r'Fl -([a-z-]+)', text))
    assert len(options()) > 30 and named == options()


def test_every_option_of_setup_and_login_is_in_their_manual_and_nothing_else():
    text = ''.join((ROOT / f'src/fetch/setup/{name}.c').read_text()
                   for name in ('arguments', 'login'))
    known = set(re.findall(r'\{"([a-z-]+)",\s*(?:no|required)_argument', text))
    page = (ROOT / 'man/valija-fetch-setup.1').read_text()
    named = {word for line in re.findall(r'^\.(?:It|Op) (.*)$', page, re.M)
             for word in re.findall(r'(?:Fl |, )-([a-z-]+)', line)}
    assert len(known) > 20 and named == known


def test_every_setting_is_in_the_manual():
    text = (ROOT / 'man/valija-fetch.conf.5').read_text()
    words = set(re.findall(r'[a-z-]+', ' '.join(re.findall(r'^\.It Ic (.*)$', text, re.M))))
    assert len(settings()) > 20 and settings() <= words


def test_completions_know_every_option():
    bash = (ROOT / 'dist/completions/valija.bash').read_text()
    assert set(re.findall(r'--([a-z-]+)', bash.split('options="')[1].split('"')[0])) == options()
    zsh = (ROOT / 'dist/completions/_valija').read_text().split('\n_valija() {')[0]
    assert set(re.findall(r'--([a-z-]+)\[', zsh)) | set(
        re.findall(r',--([a-z-]+)\}', zsh)) == options()
    fish = (ROOT / 'dist/completions/valija.fish').read_text()
    assert set(re.findall(r'^complete .* -n \$fetch .*-l ([a-z-]+)', fish, re.M)) == options()
