# Streams in both directions through a cable with faults, of which each has to have happened.
read -r bytes </tmp/bytes
faulty-host up
transfers() {
	address=$1 bytes=$2 seen=$3
	shift 3
	echo "$address: $*"
	faulty-host cable $VIF "$@"
	faulty-host in $address $bytes
	faulty-host out $address $bytes
	faulty-host counts | tee /tmp/counts
	while read -r _ _ lost reordered repeated; do
		for fault in $seen; do
			case $fault in
			lost) [ $lost -gt 0 ] ;;
			reordered) [ $reordered -gt 0 ] ;;
			# Questions for Ethernet addresses count as well.
			repeated) [ $repeated -gt 2 ] ;;
			esac
		done
	done </tmp/counts
}
all='delay 2ms reorder 25% 50% loss 1% duplicate 1%'
transfers $IP $bytes lost loss 2%
transfers $IP $bytes reordered delay 2ms reorder 25% 50%
transfers $IP $bytes repeated duplicate 3%
transfers $IP $bytes 'lost reordered' $all
transfers fd00::2 2097152 reordered $all
