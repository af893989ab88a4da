// The numbers of DHCP for PXE and HTTP boot: options, message types, and the options inside option 43.
// The names are the RFCs' own; unknown numbers need no entry, they travel as bytes.

export const OptionCode = {
  Pad: 0, // RFC 2132 §3.1
  SubnetMask: 1, // RFC 2132 §3.3
  Router: 3, // RFC 2132 §3.5
  DomainNameServer: 6, // RFC 2132 §3.8
  HostName: 12, // RFC 2132 §3.14
  VendorSpecific: 43, // RFC 2132 §8.4
  RequestedAddress: 50, // RFC 2132 §9.1
  LeaseTime: 51, // RFC 2132 §9.2
  Overload: 52, // RFC 2132 §9.3
  MessageType: 53, // RFC 2132 §9.6
  ServerIdentifier: 54, // RFC 2132 §9.7
  ParameterRequestList: 55, // RFC 2132 §9.8
  MaximumMessageSize: 57, // RFC 2132 §9.10
  VendorClass: 60, // RFC 2132 §9.13
  ClientIdentifier: 61, // RFC 2132 §9.14
  TftpServerName: 66, // RFC 2132 §9.4
  BootFileName: 67, // RFC 2132 §9.5
  UserClass: 77, // RFC 3004 §4
  RelayAgentInformation: 82, // RFC 3046 §2.0
  ClientArchitecture: 93, // RFC 4578 §2.1
  ClientNetworkInterface: 94, // RFC 4578 §2.2
  ClientMachineIdentifier: 97, // RFC 4578 §2.3
  Etherboot: 175, // listed by RFC 3942 §4; iPXE's own encapsulated options
  End: 255, // RFC 2132 §3.2
} as const;

/** Option 53 (RFC 2132 §9.6). */
export const MessageType = {
  Discover: 1,
  Offer: 2,
  Request: 3,
  Decline: 4,
  Ack: 5,
  Nak: 6,
  Release: 7,
  Inform: 8,
} as const;

/** Options inside option 43 when option 60 says PXEClient (PXE 2.1, "PXE DHCP options"). */
export const PxeOption = {
  DiscoveryControl: 6,
  BootServers: 8,
  BootMenu: 9,
  MenuPrompt: 10,
  BootItem: 71,
} as const;
