# Mosquitto says who was denied what at its most verbose level only. This passes on what an operator
# needs of that, and everything from the other levels; but little of what repeats, for Docker keeps
# only so much. Per minute of the log's own time stamps:
#
# - the same denial is said once, and at most `DENIALS` of one client;
# - at most `LINES` other lines that differ in numbers alone;
# - then, how many more there were.
#
# A SUBSCRIBE shows as its client, then each topic with, if it is granted, a line of its own, then
# the answer (2.0.21, src/handle_subscribe.c).

BEGIN {
	DENIALS = 20
	LINES = 100
	KINDS = 500 # of lines, that are told apart
	WIDTH = 300 # of a line
	TOPIC = 80
}

function shorten(value, width) {
	return length(value) > width ? substr(value, 1, width) "..." : value
}

# Write down how many lines of the minute before were left out.
function count_up(  kind) {
	for (kind in skipped) print last ": " kind ": " skipped[kind] " more within this minute"
	split("", skipped)
	split("", said)
	split("", lines)
	kinds = 0
}

function emit(kind, limit, line) {
	if (!(kind in lines) && ++kinds > KINDS) kind = "further kinds of lines"
	if (++lines[kind] > limit) skipped[kind]++
	else print stamp shorten(line, WIDTH)
}

function deny(kind, line) {
	if (line in said) skipped[kind]++
	else {
		if (lines[kind] < DENIALS) said[line] = 1
		emit(kind, DENIALS, line)
	}
}

function denied() {
	if (topic != "") {
		kind = "Denied SUBSCRIBE from " client
		deny(kind, kind " to " shorten(topic, TOPIC))
	}
	topic = ""
}

{
	at = index($0, ": ")
	stamp = substr($0, 1, at + 1)
	text = substr($0, at + 2)
	if (substr(stamp, 1, 16) != substr(last, 1, 16)) count_up()
	last = substr(stamp, 1, at - 1)
}

text ~ /^Received SUBSCRIBE from / {
	topic = ""
	client = substr(text, 25)
	subscribing = 1
	next
}

subscribing && text ~ /^\t.* \(QoS [012]\)$/ {
	denied()
	topic = substr(text, 2, length(text) - 9)
	next
}

# "CLIENT QOS TOPIC"
subscribing && topic != "" && index(text, client " ") == 1 &&
		substr(text, length(client) + 4) == topic {
	topic = ""
	next
}

text ~ /^Sending SUBACK to / {
	denied()
	subscribing = 0
	next
}

text ~ /^(Received|Sending) [A-Z]+ (from|to) / { next }
text ~ /^(No will|Will) message specified/ || text ~ /^\t/ { next }

# "Denied PUBLISH from CLIENT (d0, q1, r0, m7, 'TOPIC', ... (5 bytes))"
text ~ /^Denied PUBLISH from / {
	kind = text
	sub(/ \(d[01], q.*/, "", kind)
	topic_at = index(text, "'")
	end = index(text, "', ... (")
	name = substr(text, topic_at + 1, end - topic_at - 1)
	deny(kind, kind " (... '" shorten(name, TOPIC) "' ...)")
	next
}

{
	kind = text
	gsub(/[0-9]+/, "#", kind)
	emit(shorten(kind, TOPIC), LINES, text)
}

END { count_up() }
