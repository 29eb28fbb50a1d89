"""Areas of the code, and the tests that cover each file: what `./dev mutate` runs against a mutant.

AREAS: the folders (or files) that an area changes. COVER: for the files below a path, the meson
tests that cover them, and the pytest selections that are run when those let a mutant through; the
longest path that fits a file counts. Few and quick ones, the likeliest first: the first test that
fails ends it. A new test program belongs in here.
"""

AREAS = {
    'pop3': ['src/pop3'],
    'lmtp': ['src/lmtp'],
    'ipc': ['src/ipc'],
    'maildrop': ['src/maildrop'],
    'server': ['src/server'],
    'fetch': ['src/fetch/journal', 'src/fetch/sink', 'src/fetch/account/config_init.c'],
    'tokens': ['src/fetch/oauth', 'src/fetch/setup', 'src/fetch/https', 'src/https',
               'src/fetch/account/provider.c'],
    'users': ['src/users'],
    'cli': ['src/cli'],
    'base': ['src/base'],
    'sys': ['src/sys'],
    'config': ['src/config'],
    'lookup': ['src/lookup'],
}


def system(*names):
    return [f'tests/system/test_{name}.py' for name in names]


def unit(folder, names):
    return [f'test_{folder}_{name}' for name in names.split()]


MAILDROP = unit('maildrop', 'index maildir now later deliver deleted kept bad_files together') \
    + ['corpus_index'] + unit('maildrop', 'faults')
REGISTER = unit('maildrop', 'register mail_root')
USERS = unit('users', 'fields bearer names passwd_file app_passwords last_logins edit '
                      'recipients schemes sasl login login_app strangers') \
    + ['corpus_bearer', 'corpus_passwd_file', 'corpus_app_passwords', 'corpus_aliases',
       'corpus_last_logins']

IMPORTS = (unit('maildrop', 'adopt adopt_faults sizelist') + ['corpus_id_lists'],
           system('import_dovecot', 'import_courier'))
MBOX_IMPORTS = (unit('maildrop', 'mbox_adopt mbox_faults') + ['corpus_mbox_notes'],
                system('import_mbox'))

# path → (meson tests, pytest selections)
COVER = {
    'src/pop3': (unit('pop3', 'message message_portable server client words')
                 + ['transcripts', 'corpus_pop3_server', 'corpus_pop3_client', 'corpus_stuffing'],
                 []),
    'src/lmtp': (['test_lmtp_lmtp', 'transcripts_lmtp', 'corpus_lmtp'],
                 system('lmtp_protocol')),
    'src/ipc': (['test_ipc_messages', 'test_ipc_reason', 'test_ipc_frozen', 'corpus_ipc',
                 'corpus_handlers_keeper',
                 'corpus_handlers_lmtp'], system('hostile_front', 'hostile_keeper')),

    'src/maildrop': (MAILDROP + REGISTER, ['tests/crash/test_maildrop.py'] + system('maildir')),
    'src/maildrop/index': (unit('maildrop', 'index') + ['corpus_index']
                           + unit('maildrop', 'maildir later now faults'),
                           ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/adopt': IMPORTS,
    'src/maildrop/maildir/bring.c': IMPORTS,
    'src/maildrop/maildir/foreign.c': IMPORTS,
    'src/maildrop/mail_origin.c': IMPORTS,
    'src/maildrop/uidl_format.c': IMPORTS,
    'src/maildrop/mbox/adopt': MBOX_IMPORTS,
    'src/maildrop/mbox/bring.c': MBOX_IMPORTS,
    'src/maildrop/mbox/ids.c': MBOX_IMPORTS,
    'src/maildrop/deleted.c': (unit('maildrop', 'deleted') + ['corpus_deleted'],
                               system('deleted')),
    'src/maildrop/maildir/session/open.c': (unit('maildrop', 'lending') + MAILDROP,
                                            ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/session/locate.c': (unit('maildrop', 'locate') + MAILDROP,
                                              ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/update/uidl.c': (unit('maildrop', 'uidl') + MAILDROP,
                                           ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/session/sweep_journal.c': (unit('maildrop', 'deleted kept_faults faults'),
                                                     ['tests/crash/test_maildrop.py']),
    'src/maildrop/kept.c': (unit('maildrop', 'kept kept_faults'), ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/session/expire.c': (unit('maildrop', 'expire kept kept_faults'),
                                              system('retention')),
    'src/maildrop/maildir/session/undelete.c': (unit('maildrop', 'kept kept_faults'),
                                                ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/session/remove.c': (unit('maildrop', 'kept kept_faults faults'),
                                              ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/deliver.c': (unit('maildrop', 'deliver faults together'),
                                       ['tests/crash/test_maildrop.py']),
    'src/maildrop/store.c': (unit('maildrop', 'store') + unit('server', 'keeper_store'),
                             system('bodies')),
    'src/maildrop/stores.c': (unit('maildrop', 'store'), system('maildir')),
    'src/maildrop/store_bodies.c': (unit('maildrop', 'store_bodies store')
                                    + unit('server', 'keeper_role'),
                                    system('bodies')),
    'src/maildrop/store_lanes.c': (unit('maildrop', 'store'), system('hanging')),
    'src/maildrop/store_threads.c': (unit('maildrop', 'store') + unit('server', 'keeper_role'),
                                     system('hanging', 'bodies')),
    'src/maildrop/mbox': (unit('maildrop', 'mbox mbox_session mbox_deliver mbox_journal mbox_scan '
                                           'mbox_append mbox_faults lending')
                          + unit('fetch', 'mbox')
                          + ['corpus_mbox', 'corpus_mbox_journal'],
                          ['tests/crash/test_maildrop.py'] + system('deliver_mbox', 'mbox')),
    'src/maildrop/mbox/dotlock.c': (unit('maildrop', 'mbox_append') + unit('fetch', 'mbox'),
                                    system('fetch_signals')),
    'src/maildrop/mail_root.c': (REGISTER + unit('maildrop', 'maildir'),
                                 system('mail_not_mounted')),
    'src/maildrop/mail_mark.c': (REGISTER, system('mail_not_mounted')),
    'src/maildrop/mail_store.c': (REGISTER, system('store_mbox')),
    'src/maildrop/register.c': (REGISTER, system('register')),

    'src/server': (unit('server', 'link limits slot'), system('lifecycle', 'protocol')),
    'src/server/accept.c': (unit('server', 'lmtp_role front_role mta_role control_role')
                            + ['corpus_handlers_lmtp'], system('listeners', 'capacity')),
    'src/server/monitor/certificate_watch.c': (unit('server', 'certificate_watch'),
                                               system('certificates_watched')),
    'src/users/login_external.c': (unit('users', 'login_external'), system('client_certificates')),
    'src/server/proxy_header.c': (unit('server', 'proxy_header') + ['corpus_proxy_header'],
                                  system('behind_proxy')),
    'src/server/arrivals.c': (unit('server', 'arrivals'), system('behind_proxy')),
    'src/server/certificates.c': (unit('server', 'certificates keys_role'),
                                  system('keys', 'tls', 'check')),
    'src/server/child.c': (unit('server', 'keeper_role lmtp_role auth_role allocations')
                           + ['corpus_handlers_front'], system('lifecycle', 'hostile_front')),
    'src/server/counters.c': (unit('server', 'counters status'), system('status')),
    'src/server/expiry.c': (unit('server', 'expiry'), system('check')),
    'src/server/status': (unit('server', 'status status_role'), system('status')),
    'src/server/flood.c': (unit('server', 'flood'), system('log')),
    'src/server/front_frame.c': (unit('server', 'lmtp_role front_role front_mail ending mta_role '
                                         'control_role')
                                 + ['corpus_handlers_front'], system('capacity', 'lifecycle')),
    'src/server/recorder.c': (unit('server', 'recorder') + ['corpus_recorder'], system('explain')),
    'src/server/record_table.c': (unit('server', 'record recorder'), system('log', 'explain')),
    'src/server/record_form.c': (unit('server', 'record recorder'), system('log', 'explain')),
    'src/server/monitor/event_members.c': (unit('server', 'event_members'), system('events')),
    'src/server/front/trace.c': (unit('server', 'front_role'), system('trace')),
    'src/server/auth/trace.c': (unit('server', 'auth_role'), system('trace')),
    'src/server/target.c': (unit('server', 'auth_who recorder'), system('control')),
    'src/server/main.c': ([], ['tests/system/test_lifecycle.py']),
    'src/server/record.c': (unit('server', 'record flood ending'), system('log')),
    'src/server/strangers.c': (unit('server', 'strangers'), system('capacity')),
    'src/server/auth/databases.c': (unit('server', 'auth_databases'), system('database_sql')),
    'src/server/auth/penalties.c': (unit('server', 'auth_penalties'), system('bans')),
    'src/cli/doctor': (unit('cli', 'doctor_finding'), system('doctor')),
    'src/server/ban_table.c': (unit('server', 'bans'), system('bans')),
    'src/server/monitor/ban_list.c': (unit('server', 'bans'), system('bans')),
    'src/server/monitor/ban_file.c': (unit('server', 'bans bans_monitor'), system('bans')),
    'src/server/monitor/bans.c': (unit('server', 'bans_monitor'), system('bans')),
    'src/server/control': (unit('server', 'control_role control_command recorder')
                           + ['corpus_control', 'corpus_recorder'],
                           system('control', 'explain', 'trace')),
    'src/server/auth/flush.c': (unit('server', 'auth_databases'), system('control')),
    'src/server/auth/who.c': (unit('server', 'auth_who'), system('control')),
    'src/server/front/traffic.c': (unit('server', 'front_mail'), system('control')),
    'src/server/auth/report.c': (unit('server', 'auth_who'), system('steering')),
    'src/server/lines.c': (unit('server', 'lines commands'), system('steering')),
    'src/server/monitor/commands.c': (unit('server', 'commands'), system('steering')),
    'src/server/monitor/control_peers.c': (unit('server', 'control_peers'), system('steering')),
    'src/server/monitor/topic.c': (unit('server', 'commands'), system('steering')),
    'src/server/monitor/shown.c': (unit('server', 'commands'), system('steering')),
    'src/server/totals.c': (unit('server', 'totals status'), system('steering')),
    'src/server/auth/last_login.c': (unit('server', 'auth_last_login'), system('last_logins')),
    'src/server/auth/proven.c': (unit('server', 'queue auth_logins'), []),
    'src/server/auth/recent.c': (unit('server', 'login_delays auth_logins'), []),
    'src/server/auth/unanswered.c': (unit('server', 'unanswered auth_databases'), []),
    'src/server/auth/entries.c': (unit('server', 'entries auth_databases'), []),
    'src/server/mta': (unit('server', 'mta_role mta_fields mta_netstring mta_policy_request')
                       + ['corpus_mta', 'corpus_policy', 'corpus_handlers_mta',
                          'corpus_handlers_map', 'corpus_handlers_policy'],
                       system('mta_sasl', 'mta_socketmap', 'mta_policy')),
    'src/server/keeper/idle.c': (unit('server', 'owner keeper_role'), system('owners')),
    'src/server/auth': (unit('server', 'auth_logins login_delays limits queue homes auth_role '
                             'auth_databases')
                        + unit('users', 'login') + ['corpus_handlers_auth']
                        + unit('server', 'auth_last_login allocations'),
                        system('login_rules', 'logins_more', 'logins_wait', 'lmtp_recipients')),
    'src/server/auth/usage.c': (unit('server', 'auth_role') + ['corpus_handlers_auth'],
                                system('mta_policy')),
    'src/server/keeper/usage.c': (unit('server', 'keeper_role') + ['corpus_handlers_keeper'],
                                   system('mta_policy')),
    'src/server/auth/homes.c': (unit('server', 'homes'), system('owners')),
    'src/server/auth/keepers.c': (unit('server', 'auth_role auth_logins')
                                  + ['corpus_handlers_auth'] + unit('server', 'allocations'),
                                  system('owners', 'lmtp_recipients')),
    'src/server/auth/limits.c': (unit('server', 'limits auth_logins'), system('login_rules')),
    'src/server/auth/queue.c': (unit('server', 'queue'), system('logins_wait')),
    'src/server/auth/recipient.c': (unit('server', 'auth_role') + ['corpus_handlers_auth'],
                                    system('lmtp_recipients')),
    'src/server/front': (unit('server', 'front_mail front_role link reader ending')
                         + ['corpus_handlers_front'] + unit('server', 'allocations'),
                         system('protocol', 'bodies', 'log', 'hostile_keeper')),
    'src/server/front/activity.c': (unit('server', 'activity front_role'), system('takeover')),
    'src/server/front/ending.c': (unit('server', 'ending front_mail'), system('log')),
    'src/server/front/lent.c': (unit('server', 'lent front_mail'), system('bodies')),
    'src/server/front/link.c': (unit('server', 'link front_mail'), system('logins_wait')),
    'src/server/front/reader.c': (unit('server', 'reader front_mail'), system('bodies')),
    'src/server/front/signing.c': (unit('server', 'signing'), system('keys')),
    'src/server/keeper': (unit('server', 'keeper_role keeper_store keeper_takeover')
                          + ['corpus_handlers_keeper'] + unit('server', 'allocations'),
                          system('bodies', 'maildir', 'hostile_front', 'lifecycle')),
    'src/server/keeper/delivery.c': (unit('server', 'keeper_role') + ['corpus_handlers_keeper'],
                                     system('lmtp_recipients', 'hostile_lmtp', 'register')),
    'src/server/keeper/envelope.c': (unit('server', 'envelope'), system('log')),
    'src/server/keeper/location.c': (unit('server', 'keeper_role'),
                                     system('mail_not_mounted', 'register')),
    'src/server/keeper/takeover.c': (unit('server', 'keeper_takeover'), system('takeover')),
    'src/server/monitor/takeover.c': (unit('server', 'take'), system('takeover')),
    'src/server/keeper/notice.c': (unit('server', 'notice keeper_role'), system('maildir')),
    'src/server/keeper/notes.c': (unit('server', 'notes'), system('bad_files', 'log')),
    'src/server/keys': (unit('server', 'keys_role') + ['corpus_handlers_keys'], system('keys')),
    'src/server/locker': (unit('server', 'locker_role') + ['corpus_handlers_locker'],
                          system('store_mbox', 'store_mbox_programs')),
    'src/server/keeper/locker.c': (unit('server', 'keeper_locker'), system('store_mbox')),
    'src/server/monitor/root_stores.c': (unit('server', 'root_stores'), system('store_mbox')),
    'src/server/logins': (unit('server', 'logins_role') + ['corpus_handlers_logins'],
                          system('last_logins')),
    'src/server/lmtp': (unit('server', 'spool lmtp_role message') + ['corpus_handlers_lmtp']
                        + unit('server', 'allocations'),
                        system('lmtp_protocol', 'lmtp_recipients', 'hostile_lmtp')),
    'src/server/lmtp/message.c': (unit('server', 'message lmtp_role'), system('lmtp_spool')),
    'src/server/lmtp/refusal.c': (unit('server', 'lmtp_role'), system('log', 'lmtp_recipients')),
    'src/server/lmtp/stock.c': (unit('server', 'stock lmtp_role'),
                                system('lmtp_spool', 'lmtp_room')),
    'src/server/lmtp/spool.c': (unit('server', 'spool'), system('lmtp_room')),
    'src/server/monitor': (unit('server', 'generation monitor slot owners'),
                           system('lifecycle', 'listeners')),
    'src/server/monitor/briefing.c': (unit('server', 'generation monitor'),
                                      system('lifecycle', 'database_sql', 'keys')),
    'src/server/monitor/check.c': (unit('server', 'monitor'), system('check', 'check_more')),
    'src/server/monitor/demand.c': (unit('server', 'owners generation'), system('owners')),
    'src/server/monitor/health.c': (unit('server', 'generation'), system('stopped_processes')),
    'src/server/monitor/listeners.c': (unit('server', 'listeners listeners_upgrade'),
                                       system('listeners')),
    'src/server/monitor/locations.c': (unit('server', 'locations'),
                                       system('register', 'mail_not_mounted')),
    'src/server/monitor/log_pipe.c': (unit('server', 'log_pipe generation monitor'), system('log')),
    'src/server/monitor/log_sink.c': (unit('server', 'log_sink'), system('log')),
    'src/server/monitor/logins_folder.c': (unit('server', 'logins_folder'), system('last_logins')),
    'src/server/monitor/logbook.c': (unit('server', 'logbook log_sink log_pipe monitor'),
                                     system('log')),
    'src/server/monitor/activation.c': (unit('server', 'activation'), system('server_units')),
    'src/server/monitor/status_line.c': (unit('server', 'status_line'), system('server_units')),
    'src/server/monitor/upgrade.c': (unit('server', 'monitor'), system('upgrade')),
    'src/server/monitor/state.c': (unit('server', 'monitor'), system('upgrade')),
    'src/server/monitor/adopt.c': (unit('server', 'monitor'), system('upgrade')),
    'src/server/monitor/handover.c': (unit('server', 'handover handover_fields')
                                      + ['corpus_handover'],
                                          system('upgrade')),
    'src/server/monitor/files.c': (unit('server', 'generation monitor'),
                                   system('check', 'mail_not_mounted', 'lifecycle')),
    'src/server/monitor/mail_folder.c': (unit('server', 'mail_folder monitor'),
                                         system('lifecycle', 'root_watch')),
    'src/server/monitor/monitor.c': (unit('server', 'monitor'), system('lifecycle')),
    'src/server/monitor/root_watch.c': (unit('server', 'root_watch generation'),
                                        system('root_watch')),
    'src/server/monitor/peer_uids.c': (unit('server', 'running'), system('mta_sasl')),
    'src/server/monitor/running.c': (unit('server', 'running'), system('check')),
    'src/server/monitor/members.c': (unit('server', 'generation'),
                                     system('lifecycle', 'owners')),
    'src/server/monitor/pages.c': (unit('server', 'counters pages_upgrade monitor'),
                                   system('status')),
    'src/server/monitor/owners.c': (unit('server', 'owners monitor'), system('owners')),
    'src/server/monitor/slot.c': (unit('server', 'slot generation monitor'),
                                  system('lifecycle', 'stopped_processes')),
    'src/server/monitor/spool_files.c': (unit('server', 'spool_files generation'),
                                         system('lmtp_spool')),

    'src/fetch': (unit('fetch', 'policy journal sink'), system('fetch_basic', 'fetch_policies')),
    'src/fetch/journal': (unit('fetch', 'journal') + ['corpus_journal']
                          + unit('fetch', 'policy maildir_sink sink'),
                          system('fetch_journal', 'fetch_policies')
                          + ['tests/crash/test_fetch_crash.py']),
    'src/fetch/journal/state.c': (unit('fetch', 'state sink'), system('fetch_journal')),
    'src/fetch/sink': (unit('fetch', 'maildir_sink sink'),
                       system('fetch_sinks') + ['tests/crash/test_fetch_crash.py']),
    'src/fetch/sink/backoff.c': (unit('fetch', 'backoff'), system('fetch_refused')),
    'src/fetch/sink/command.c': (unit('fetch', 'command_sink maildir_sink'),
                                 system('fetch_sinks', 'fetch_refused')),
    'src/fetch/sink/lmtp.c': (unit('fetch', 'lmtp_sink maildir_sink'),
                              system('fetch_sinks', 'fetch_refused')),
    'src/fetch/sink/lmtp_client.c': (unit('fetch', 'lmtp_sink'),
                                     system('fetch_sinks', 'fetch_signals')),
    'src/fetch/sink/mbox.c': (unit('fetch', 'mbox maildir_sink sink'),
                              system('fetch_sinks', 'fetch_signals')),
    'src/fetch/sink/refused.c': (unit('fetch', 'maildir_sink lmtp_sink command_sink sink'),
                                 system('fetch_refused')),
    'src/fetch/sink/spool.c': (unit('fetch', 'command_sink maildir_sink lmtp_sink'),
                               system('fetch_sinks')),
    'src/fetch/sink/upload.c': (unit('fetch', 'upload_sink maildir_sink'),
                                system('fetch_imap', 'fetch_gmail')),
    'src/fetch/sink/uploader.c': (unit('fetch', 'upload_sink'), system('fetch_imap')),
    'src/fetch/account/config_init.c': (unit('fetch', 'state'),
                                        system('fetch_basic', 'fetch_manual')),
    'src/fetch/upload': (unit('fetch', 'upload') + ['corpus_upload'],
                         system('fetch_imap', 'fetch_gmail')),
    'src/fetch/session': (unit('fetch', 'oauth policy') + ['corpus_oauth'],
                          system('fetch_login', 'fetch_basic', 'fetch_hints')),
    'src/fetch/oauth': (unit('fetch', 'oauth') + ['corpus_oauth'],
                        system('fetch_oauth') + ['tests/crash/test_fetch_oauth_crash.py']),
    'src/fetch/setup': (unit('fetch', 'setup') + ['corpus_setup'],
                        system('fetch_setup', 'fetch_oauth')),
    'src/fetch/https': ([], system('fetch_oauth')),
    'src/https': ([], system('fetch_oauth')),
    'src/fetch/account/provider.c': (unit('fetch', 'oauth'),
                                     system('fetch_setup', 'fetch_oauth')),
    'src/fetch/sink/runner.c': (unit('fetch', 'command_sink'),
                                system('fetch_signals', 'fetch_sinks')),
    'src/fetch/session/proxy.c': (['corpus_proxy'], system('fetch_proxy')),
    'src/fetch/collect/suspects.c': (unit('fetch', 'journal'), system('fetch_poison')),
    'src/fetch/collect/rematch.c': ([], system('fetch_renewed')),
    'src/fetch/collect/listing.c': (unit('fetch', 'journal'), system('fetch_silence')),
    'src/fetch/doctor': ([], system('fetch_doctor')),
    'src/fetch/interrupt.c': ([], system('fetch_signals')),
    'src/fetch/import': (['corpus_import'], system('fetch_import')),
    'src/fetch/watch': (unit('fetch', 'watch'), system('fetch_watch')),
    'src/fetch/account': (unit('fetch', 'policy sink'), system('fetch_login', 'fetch_basic')),

    'src/users': (USERS, system('password', 'login_rules', 'app_passwords')),
    'src/users/edit.c': (unit('users', 'edit'), system('password')),
    'src/cli': (unit('cli', 'init'), system('cli', 'deliver')),
    'src/cli/autoconfig.c': ([], system('autoconfig')),
    'src/cli/top.c': ([], system('top')),
    'src/cli/top_screen.c': ([], system('top')),
    'src/cli/last_seen.c': ([], system('last_logins')),
    'src/cli/user_list.c': ([], system('last_logins', 'user_list')),
    'src/cli/asker.c': ([], system('user_show', 'user_list')),
    'src/base': (unit('base', 'array descriptor digest text crc32c crc32c_table log hash_map '
                      'histogram secret siphash table'),
                 system('protocol')),
    'src/sys': (unit('sys', 'arena chan conn filter loop notify process workers tls sandbox '
                     'trusted_path'),
                system('tls', 'lifecycle')),
    'src/lookup': (unit('server', 'auth_databases'), system('database_passwd_file')),
    'src/lookup/http': (unit('lookup', 'http') + ['corpus_http_answer'],
                        system('database_http')),
    'src/lookup/oauth': (unit('lookup', 'oauth') + ['corpus_token'], system('database_oauth')),
    'src/lookup/ldap': (unit('lookup', 'ldap_escape ldap_map ldap_servers ldap_verdict')
                        + ['corpus_lookup_ldap'], system('database_ldap')),
    'src/lookup/sql': (unit('lookup', 'sql') + ['corpus_sql_query'], system('database_sql')),
    'src/lookup/system': (unit('lookup', 'system system_frame system_pam system_server')
                          + ['corpus_lookup_system'], system('database_system')),
    'src/config': (['test_config_config', 'corpus_config'], system('manual', 'check')),
}


def cover(file):
    """(meson tests, pytest selections) of a file, a path from the tree's root."""
    fits = [path for path in COVER if file == path or file.startswith(path + '/')]
    return COVER[max(fits, key=len)]
