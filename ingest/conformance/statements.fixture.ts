/**
 * The normative statements of MQTT 3.1.1 (OASIS standard, appendix B), each in short words of our own. The standard's two
 * slips of the pen, 3.1.2.7 and 3-8.3-4, are written as the others are.
 */
export interface Statement {
  tag: string;
  says: string;
  /** Who fulfils it here; `client` when it binds clients alone, `nobody` when it does not apply. */
  by: 'door' | 'Aedes' | 'both' | 'client' | 'nobody';
  /** Why there is no test, where there is none; otherwise what is worth knowing. */
  note?: string;
}

type Row = [tag: string, by: Statement['by'], says: string, note?: string];

const FORMAT: Row[] = [
  ['1.5.3-1', 'door', 'Text is well-formed UTF-8 without surrogates; anything else closes the connection'],
  ['1.5.3-2', 'door', 'Text holds no U+0000; if it does, the connection is closed'],
  ['1.5.3-3', 'both', 'EF BB BF is U+FEFF wherever it stands and is never taken away'],
  ['2.2.2-1', 'door', 'Reserved flags have the values of table 2.2'],
  ['2.2.2-2', 'door', 'Other flags close the connection'],
  ['2.3.1-1', 'door', 'SUBSCRIBE, UNSUBSCRIBE and PUBLISH above QoS 0 have a packet id that is not 0'],
  ['2.3.1-2', 'client', 'A client takes an unused packet id for each new packet', 'the choice is the client’s'],
  [
    '2.3.1-3',
    'client',
    'A repeated packet has the id of the first; an id is free again after its acknowledgement',
    'binds clients; that ids may be used again is tried with 4.3.2-2',
  ],
  [
    '2.3.1-4',
    'door',
    'The same holds for a server that sends PUBLISH above QoS 0',
    'Aedes alone counts on and uses ids that still wait',
  ],
  ['2.3.1-5', 'door', 'A PUBLISH of QoS 0 has no packet id'],
  ['2.3.1-6', 'both', 'PUBACK, PUBREC and PUBREL have the id of their PUBLISH'],
  ['2.3.1-7', 'Aedes', 'SUBACK and UNSUBACK have the id of their request'],
];

const CONNECT: Row[] = [
  ['3.1.0-1', 'door', 'The first packet is CONNECT'],
  ['3.1.0-2', 'door', 'A second CONNECT closes the connection'],
  [
    '3.1.2-1',
    'door',
    'An unknown protocol name may be refused',
    'MQTT and, with level 3, MQIsdp are taken; others are closed without a word',
  ],
  ['3.1.2-2', 'door', 'An unknown protocol level is answered with return code 1, then closed'],
  ['3.1.2-3', 'door', 'The reserved flag of CONNECT is 0, or the connection is closed'],
  [
    '3.1.2-4',
    'both',
    'Without CleanSession the session of that client id goes on, or begins, and is kept',
    'in the door’s memory: sessions end with its process',
  ],
  ['3.1.2-5', 'both', 'QoS 1 and 2 messages for subscriptions of a kept session are stored while its client is away'],
  ['3.1.2-6', 'both', 'CleanSession begins anew, and nothing of that session is used again'],
  ['3.1.2-7', 'Aedes', 'Retained messages do not belong to a session and outlive it'],
  ['3.1.2-8', 'Aedes', 'An accepted will is kept and published when the connection is lost'],
  ['3.1.2-9', 'both', 'With a will its QoS, RETAIN, topic and message are used'],
  ['3.1.2-10', 'Aedes', 'A will is removed once it was published or DISCONNECT came'],
  ['3.1.2-11', 'door', 'Without a will its flags are 0 and its fields absent'],
  ['3.1.2-12', 'Aedes', 'Without a will none is published'],
  ['3.1.2-13', 'door', 'Without a will its QoS is 0'],
  ['3.1.2-14', 'door', 'The will’s QoS is not 3'],
  ['3.1.2-15', 'door', 'Without a will its RETAIN is 0'],
  ['3.1.2-16', 'Aedes', 'A will without RETAIN is not kept as a retained message'],
  ['3.1.2-17', 'Aedes', 'A will with RETAIN is'],
  ['3.1.2-18', 'door', 'No user name without its flag'],
  ['3.1.2-19', 'door', 'With its flag there is a user name'],
  ['3.1.2-20', 'door', 'No password without its flag'],
  ['3.1.2-21', 'door', 'With its flag there is a password'],
  ['3.1.2-22', 'door', 'No password without a user name'],
  ['3.1.2-23', 'client', 'A client with a keep-alive sends something in time', 'binds clients'],
  ['3.1.2-24', 'door', 'After one and a half keep-alives of silence the connection is closed'],
  ['3.1.3-1', 'door', 'Payload fields stand in the order client id, will topic, will message, user name, password'],
  ['3.1.3-2', 'both', 'The client id names the session'],
  ['3.1.3-3', 'door', 'The client id is there, first'],
  ['3.1.3-4', 'door', 'The client id is proper text'],
  ['3.1.3-5', 'door', 'Client ids of 1 to 23 letters and digits are taken'],
  ['3.1.3-6', 'Aedes', 'An empty client id may be taken, and then is given a unique one'],
  ['3.1.3-7', 'door', 'An empty client id goes with CleanSession only'],
  ['3.1.3-8', 'door', 'An empty client id without CleanSession is answered with return code 2, then closed'],
  ['3.1.3-9', 'door', 'A refused client id is answered with return code 2, then closed'],
  ['3.1.3-10', 'door', 'The will topic is proper text'],
  ['3.1.3-11', 'door', 'The user name is proper text'],
  ['3.1.4-1', 'door', 'A CONNECT that does not conform is closed without CONNACK'],
  ['3.1.4-2', 'Aedes', 'A second client with the same id ends the first one’s connection'],
  ['3.1.4-3', 'both', 'CleanSession is processed as 3.1.2.4 says'],
  ['3.1.4-4', 'Aedes', 'CONNECT is answered with CONNACK, return code 0'],
  ['3.1.4-5', 'door', 'After a refusal nothing that the client has sent is processed'],
  [
    '3.2.0-1',
    'door',
    'The first packet to a client is CONNACK',
    'Aedes alone delivers to restored subscriptions before it',
  ],
  ['3.2.2-1', 'Aedes', 'Session present is 0 for a clean session'],
  [
    '3.2.2-2',
    'door',
    'Session present is 1 where a session was kept',
    'Aedes alone says 0 for a session without subscriptions',
  ],
  ['3.2.2-3', 'Aedes', 'Session present is 0 where none was'],
  ['3.2.2-4', 'both', 'Session present is 0 with a return code that is not 0'],
  ['3.2.2-5', 'both', 'After a return code that is not 0 the connection is closed'],
  ['3.2.2-6', 'door', 'Where no return code fits, the connection is closed without CONNACK'],
];

const PUBLISH: Row[] = [
  ['3.3.1-1', 'door', 'A repeated PUBLISH has DUP', 'Aedes alone repeats without it'],
  ['3.3.1-2', 'door', 'QoS 0 has no DUP'],
  ['3.3.1-3', 'door', 'DUP of a publisher is not passed on', 'Aedes alone passes it on'],
  ['3.3.1-4', 'door', 'QoS 3 closes the connection'],
  ['3.3.1-5', 'Aedes', 'A message with RETAIN is stored, with its QoS, for later subscribers'],
  [
    '3.3.1-6',
    'both',
    'A new subscription is sent the retained message of each matching topic',
    'Aedes alone does not match a/+ with a/',
  ],
  ['3.3.1-7', 'Aedes', 'A retained QoS 0 message replaces the one before'],
  ['3.3.1-8', 'door', 'To a new subscription it is sent with RETAIN'],
  [
    '3.3.1-9',
    'door',
    'To one that was there it is sent without RETAIN',
    'Aedes alone keeps RETAIN in the queues of absent clients',
  ],
  ['3.3.1-10', 'both', 'An empty retained message is delivered, and removes the stored one'],
  ['3.3.1-11', 'Aedes', 'An empty retained message is not stored'],
  ['3.3.1-12', 'Aedes', 'A message without RETAIN leaves the stored one alone'],
  ['3.3.2-1', 'door', 'The topic name comes first and is proper text'],
  ['3.3.2-2', 'door', 'A topic name has no wildcard'],
  ['3.3.2-3', 'both', 'What is delivered matches a filter of the subscriber'],
  ['3.3.4-1', 'both', 'A PUBLISH is answered as its QoS asks: nothing, PUBACK, PUBREC'],
  [
    '3.3.5-1',
    'door',
    'With several matching subscriptions the highest QoS counts',
    'Aedes alone takes the first one’s',
  ],
  ['3.3.5-2', 'door', 'A PUBLISH that is not allowed is acknowledged as usual, or the connection is closed', 'closed'],
  ['3.6.1-1', 'door', 'PUBREL has the flags 2, or the connection is closed'],
];

const SUBSCRIBE: Row[] = [
  ['3.8.1-1', 'door', 'SUBSCRIBE has the flags 2, or the connection is closed'],
  ['3.8.3-1', 'door', 'Filters are proper text'],
  ['3.8.3-2', 'nobody', 'A server without wildcards refuses filters that have one', 'wildcards are supported'],
  ['3.8.3-3', 'door', 'SUBSCRIBE has at least one filter'],
  ['3.8.3-4', 'door', 'The byte behind a filter is 0, 1 or 2, or the connection is closed'],
  ['3.8.4-1', 'Aedes', 'SUBSCRIBE is answered with SUBACK'],
  ['3.8.4-2', 'Aedes', 'SUBACK has the id of its SUBSCRIBE'],
  ['3.8.4-3', 'both', 'The same filter again replaces the subscription, and retained messages come again'],
  ['3.8.4-4', 'both', 'Many filters in one SUBSCRIBE are as many requests with one answer'],
  [
    '3.8.4-5',
    'door',
    'SUBACK has a return code for each filter',
    'Aedes alone answers a filter that stands twice once',
  ],
  [
    '3.8.4-6',
    'door',
    'A message is delivered with the lower of its QoS and the one granted',
    'Aedes alone knows that for filters without wildcards',
  ],
  ['3.9.3-1', 'both', 'Return codes stand in the order of the filters'],
  [
    '3.9.3-2',
    'Aedes',
    'Return codes are 0, 1, 2 or 128',
    '128 for what may not be had, and for $share, which is not served',
  ],
  ['3.10.1-1', 'door', 'UNSUBSCRIBE has the flags 2, or the connection is closed'],
  ['3.10.3-1', 'door', 'Filters of UNSUBSCRIBE are proper text, one behind the other'],
  ['3.10.3-2', 'door', 'UNSUBSCRIBE has at least one filter'],
  ['3.10.4-1', 'Aedes', 'A filter is compared character by character; one that is equal is removed'],
  ['3.10.4-2', 'both', 'Nothing new is delivered for what was removed'],
  ['3.10.4-3', 'both', 'A QoS 1 or 2 delivery that has begun is finished'],
  ['3.10.4-4', 'Aedes', 'UNSUBSCRIBE is answered with UNSUBACK of the same id'],
  ['3.10.4-5', 'Aedes', 'Also when nothing was removed'],
  ['3.10.4-6', 'Aedes', 'Many filters in one UNSUBSCRIBE are as many requests with one answer'],
  ['3.12.4-1', 'door', 'PINGREQ is answered with PINGRESP'],
  ['3.14.1-1', 'door', 'DISCONNECT has no flags, or the connection is closed'],
  [
    '3.14.4-1',
    'client',
    'After DISCONNECT the client closes the connection',
    'binds clients; the door closes it too, see 3.14.4-3',
  ],
  [
    '3.14.4-2',
    'client',
    'After DISCONNECT the client sends nothing',
    'binds clients; the door reads nothing behind it',
  ],
  ['3.14.4-3', 'Aedes', 'DISCONNECT discards the will'],
];

const OPERATION: Row[] = [
  [
    '4.1.0-1',
    'both',
    'Session state is kept for the whole session',
    'in the door’s memory: sessions end with its process',
  ],
  ['4.1.0-2', 'both', 'A session lasts at least as long as its connection'],
  ['4.3.1-1', 'door', 'QoS 0 is sent with QoS 0 and without DUP'],
  ['4.3.2-1', 'door', 'QoS 1, sender: an unused id, no DUP at first, unacknowledged until PUBACK'],
  ['4.3.2-2', 'both', 'QoS 1, receiver: PUBACK with the id; after it the id is a new message, whatever DUP says'],
  ['4.3.3-1', 'both', 'QoS 2, sender: an unused id, PUBREL for PUBREC, no PUBLISH again after PUBREL'],
  [
    '4.3.3-2',
    'both',
    'QoS 2, receiver: PUBREC with the id, once for each handshake, PUBCOMP for PUBREL; then the id is new',
  ],
  [
    '4.4.0-1',
    'door',
    'When a kept session goes on, unacknowledged PUBLISHes and PUBRELs are sent again with their ids',
  ],
  ['4.5.0-1', 'both', 'A message that is taken is added to the sessions of all who match'],
  ['4.5.0-2', 'client', 'A client acknowledges what it is sent, whether it wants it or not', 'binds clients'],
  ['4.6.0-1', 'both', 'Repeated PUBLISHes stand in the order of the first ones'],
  ['4.6.0-2', 'both', 'PUBACKs stand in the order of their PUBLISHes'],
  ['4.6.0-3', 'both', 'PUBRECs stand in the order of their PUBLISHes'],
  ['4.6.0-4', 'Aedes', 'PUBRELs stand in the order of their PUBRECs'],
  ['4.6.0-5', 'door', 'Topics are ordered unless said otherwise'],
  [
    '4.6.0-6',
    'door',
    'Messages of one topic and QoS are delivered in the order in which they came',
    'Aedes alone lets a plain message overtake a retained one, and drops the one overtaken',
  ],
  ['4.7.1-1', 'door', 'Topic names hold no wildcards'],
  ['4.7.1-2', 'door', '# is a whole level, the last one'],
  ['4.7.1-3', 'door', '+ is a whole level'],
  ['4.7.2-1', 'both', 'A filter that begins with a wildcard does not match names that begin with $'],
  ['4.7.3-1', 'door', 'Names and filters have at least one character'],
  ['4.7.3-2', 'door', 'Names and filters hold no U+0000'],
  [
    '4.7.3-3',
    'door',
    'Names and filters have at most 65,535 bytes',
    'the door takes 1,024 bytes and 32 levels (limits.ts)',
  ],
  ['4.7.3-4', 'both', 'Names and filters are not normalized'],
  ['4.8.0-1', 'door', 'A protocol violation closes its connection'],
  ['4.8.0-2', 'door', 'So does a transient error on a packet'],
];

const TRANSPORT: Row[] = [
  ['6.0.0-1', 'door', 'WebSocket: binary frames; any other kind closes the connection'],
  ['6.0.0-2', 'door', 'WebSocket: packets and frames need not line up'],
  [
    '6.0.0-3',
    'client',
    'WebSocket: the client offers the subprotocol mqtt',
    'binds clients; one that does not is closed, see 6.0.0-4',
  ],
  ['6.0.0-4', 'door', 'WebSocket: the server selects mqtt', 'or mqttv3.1, where only that is offered'],
  [
    '7.0.0-1',
    'nobody',
    'A server that connects to servers conforms as a client too',
    'the door connects to no other server',
  ],
  ['7.0.0-2', 'door', 'No extension is needed to work with others'],
  ['7.1.1-1', 'door', 'A server supports a transport that is ordered, lossless and goes both ways'],
  ['7.1.2-1', 'client', 'So does a client', 'binds clients'],
];

export const STATEMENTS: readonly Statement[] = [FORMAT, CONNECT, PUBLISH, SUBSCRIBE, OPERATION, TRANSPORT]
  .flat()
  .map(([tag, by, says, note]) => ({ tag: `MQTT-${tag}`, by, says, note }));
