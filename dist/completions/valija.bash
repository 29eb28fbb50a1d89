# bash completion for valija(1)
_valija() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="init user mark deliver fetch"
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
