# bash completion for valija(1)
_valija() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="init autoconfig user mark import migrate deliver mbox who kick ban fetch deleted undelete guard remote retention doctor explain trace reload upgrade drain show stats log-level top"
	local options="--to --keep --delete --keep-days --keep-newest --follow --accept-removals
		--proxy --source --tls --tls-name --ca --pin --cert --key --auth --password-file --password-command
		--password-env --password-credential --token-command --netrc --timeout --no-pipelining --recipient --crlf --max-size
		--to-password-file --to-password-command --to-password-env --to-password-credential --to-netrc --to-token-command --to-ca
		--to-pin --to-flags --to-proxy --gmail-api --gmail-never-spam --refused
		--retry-refused --now
		--max-messages --max-octets --whole --leave-out --bodies --mark-seen --dry-run --accept-new-uidls
		--config --state --jobs --json --record --quiet --verbose --init --help
		--watch --interval --metrics"
	local config=${XDG_CONFIG_HOME:-$HOME/.config}/valija/fetch.conf

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi
	if [ "${COMP_WORDS[1]}" = init ]; then
		case $prev/$cur in
		--with/*) mapfile -t COMPREPLY < <(compgen -W "postfix exim" -- "$cur") ;;
		*/-*)
			mapfile -t COMPREPLY < <(compgen -W "--hostname --pop3 --pop3s --lmtp --mail --homes --spool --control --metrics
				--with --config --postfix-config --apply --undo --try" -- "$cur")
			;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = autoconfig ]; then
		case $prev/$cur in
		-c/* | --config/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		--to/*) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
		--only/*) mapfile -t COMPREPLY < <(compgen -W "xml json dns" -- "$cur") ;;
		--username/*) mapfile -t COMPREPLY < <(compgen -W "address local" -- "$cur") ;;
		*/-*)
			mapfile -t COMPREPLY < <(compgen -W "--config --to --only --host --submission
				--username" -- "$cur")
			;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = user ]; then
		if [ "$COMP_CWORD" -eq 2 ]; then
			mapfile -t COMPREPLY < <(compgen -W "add passwd del make list show test flush app" -- "$cur")
			return
		fi
		case $prev/$cur in
		-c/* | --config/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		*/-*)
			case ${COMP_WORDS[2]} in
			list) mapfile -t COMPREPLY < <(compgen -W "--config --json --unused" -- "$cur") ;;
			add | passwd) mapfile -t COMPREPLY < <(compgen -W "--config --scheme" -- "$cur") ;;
			*) mapfile -t COMPREPLY < <(compgen -W "--config" -- "$cur") ;;
			esac
			;;
		esac
		return
	fi
	case ${COMP_WORDS[1]} in
	who | kick | explain | reload | upgrade | drain | show | stats | top | log-level)
		case $prev/$cur in
		-c/* | --socket/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		*/-*) mapfile -t COMPREPLY < <(compgen -W "-c --socket --json --wait" -- "$cur") ;;
		show/*)
			mapfile -t COMPREPLY < <(compgen -W "sessions listeners users generations
				processes certificates databases bans program" -- "$cur")
			;;
		log-level/*)
			mapfile -t COMPREPLY < <(compgen -W "error warning info debug" -- "$cur")
			;;
		esac
		return
		;;
	esac
	if [ "${COMP_WORDS[1]}" = doctor ]; then
		mapfile -t COMPREPLY < <(compgen -W "--config --json" -- "$cur")
		return
	fi
	if [ "${COMP_WORDS[1]}" = ban ]; then
		case $COMP_CWORD/$cur in
		2/*) mapfile -t COMPREPLY < <(compgen -W "add del list" -- "$cur") ;;
		*/-*)
			mapfile -t COMPREPLY < <(compgen -W "--config --socket --for --why --kick
				--force --json --penalties" -- "$cur")
			;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = deleted ]; then
		case $prev/$cur in
		-c/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		-m/*) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
		*/-*) mapfile -t COMPREPLY < <(compgen -W "-c -m --json" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = import ]; then
		case $prev/$cur in
		-c/* | --config/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		--from/*) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
		--ids/*) mapfile -t COMPREPLY < <(compgen -W "dovecot mailutils popa3d qpopper" -- "$cur") ;;
		--user/*) ;;
		*) mapfile -t COMPREPLY < <(compgen -W "dovecot courier mbox none -c --config --from --ids \
			--user --dry-run --undo" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = migrate ]; then
		case $prev/$cur in
		-c/* | --make-key/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		--user/* | --rate/* | --wait/* | --jobs/* | --every/*) ;;
		*) mapfile -t COMPREPLY < <(compgen -W "-c --all --user --dry-run --rate --wait --delete-there \
			--accept-deleted --stopped --undo --follow --jobs --every --passwords --make-key" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = remote ]; then
		case $prev/$cur in
		-c/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		--database/*) ;;
		*) mapfile -t COMPREPLY < <(compgen -W "login grant grants check forget -c --database" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = retention ]; then
		case $prev/$cur in
		-c/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		*/-*) mapfile -t COMPREPLY < <(compgen -W "-c --dry-run" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = guard ]; then
		case $prev/$cur in
		-c/*) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
		guard/*) mapfile -t COMPREPLY < <(compgen -W "show accept -c" -- "$cur") ;;
		esac
		return
	fi
	if [ "${COMP_WORDS[1]}" = undelete ]; then
		[ "$prev" != -c ] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	[ "${COMP_WORDS[1]}" = fetch ] || return 0
	case $prev in
	--ca | --cert | --key | --password-file | --netrc | --record | --metrics | --config | -c)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--tls)
		mapfile -t COMPREPLY < <(compgen -W "implicit starttls none" -- "$cur")
		return
		;;
	--auth)
		mapfile -t COMPREPLY < <(compgen -W "scram-sha-256-plus scram-sha-1-plus
			scram-sha-256 scram-sha-1 plain login user cram-md5 apop xoauth2 oauthbearer
			external" -- "$cur")
		return
		;;
	--whole)
		mapfile -t COMPREPLY < <(compgen -W all -- "$cur")
		return
		;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur") ;;
	*)
		local accounts
		accounts=$(sed -n 's/^[[:space:]]*account[[:space:]]*"\([^"]*\)".*/\1/p' \
			"$config" 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "$accounts setup login status import pop3s:// pop3://" -- "$cur")
		;;
	esac
}
complete -o default -F _valija valija
