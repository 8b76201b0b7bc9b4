"""Codes of states as travel documents have them (ICAO Doc 9303 part 3, section 5), and whose gateway they mean."""

from typing import Final

from gateway.ids import PartnerId

_ISO: Final = (
    "ABWaw AFGaf AGOao AIAai ALAax ALBal ANDad AREae ARGar ARMam ASMas ATAaq ATFtf ATGag AUSau AUTat AZEaz BDIbi "
    "BELbe BENbj BESbq BFAbf BGDbd BGRbg BHRbh BHSbs BIHba BLMbl BLRby BLZbz BMUbm BOLbo BRAbr BRBbb BRNbn BTNbt "
    "BVTbv BWAbw CAFcf CANca CCKcc CHEch CHLcl CHNcn CIVci CMRcm CODcd COGcg COKck COLco COMkm CPVcv CRIcr CUBcu "
    "CUWcw CXRcx CYMky CYPcy CZEcz DEUde DJIdj DMAdm DNKdk DOMdo DZAdz ECUec EGYeg ERIer ESHeh ESPes ESTee ETHet "
    "FINfi FJIfj FLKfk FRAfr FROfo FSMfm GABga GBRgb GEOge GGYgg GHAgh GIBgi GINgn GLPgp GMBgm GNBgw GNQgq GRCgr "
    "GRDgd GRLgl GTMgt GUFgf GUMgu GUYgy HKGhk HMDhm HNDhn HRVhr HTIht HUNhu IDNid IMNim INDin IOTio IRLie IRNir "
    "IRQiq ISLis ISRil ITAit JAMjm JEYje JORjo JPNjp KAZkz KENke KGZkg KHMkh KIRki KNAkn KORkr KWTkw LAOla LBNlb "
    "LBRlr LBYly LCAlc LIEli LKAlk LSOls LTUlt LUXlu LVAlv MACmo MAFmf MARma MCOmc MDAmd MDGmg MDVmv MEXmx MHLmh "
    "MKDmk MLIml MLTmt MMRmm MNEme MNGmn MNPmp MOZmz MRTmr MSRms MTQmq MUSmu MWImw MYSmy MYTyt NAMna NCLnc NERne "
    "NFKnf NGAng NICni NIUnu NLDnl NORno NPLnp NRUnr NZLnz OMNom PAKpk PANpa PCNpn PERpe PHLph PLWpw PNGpg POLpl "
    "PRIpr PRKkp PRTpt PRYpy PSEps PYFpf QATqa REUre ROUro RUSru RWArw SAUsa SDNsd SENsn SGPsg SGSgs SHNsh SJMsj "
    "SLBsb SLEsl SLVsv SMRsm SOMso SPMpm SRBrs SSDss STPst SURsr SVKsk SVNsi SWEse SWZsz SXMsx SYCsc SYRsy TCAtc "
    "TCDtd TGOtg THAth TJKtj TKLtk TKMtm TLStl TONto TTOtt TUNtn TURtr TUVtv TWNtw TZAtz UGAug UKRua UMIum URYuy "
    "USAus UZBuz VATva VCTvc VENve VGBvg VIRvi VNMvn VUTvu WLFwf WSMws YEMye ZAFza ZMBzm ZWEzw "
)
"""ISO 3166-1: alpha-3 and, in lower case, alpha-2 of each state and territory."""
_BY_ALPHA_3: Final = {item[:3]: item[3:] for item in _ISO.split()}
_SPECIAL: Final = {
    # Forms of British nationality, and how German and Kosovan documents are written.
    **dict.fromkeys(("GBD", "GBN", "GBO", "GBP", "GBS"), "gb"),
    "D": "de",
    "RKS": "",
    # Organisations that issue documents.
    **dict.fromkeys(
        ("EUE", "UNO", "UNA", "UNK", "XPO", "XES", "XOM", "XMP", "XCC", "XCO", "XEC", "XBA", "XIM", "XCE", "XDC"), ""
    ),
}
NO_STATE: Final = frozenset({"XXA", "XXB", "XXC", "XXX"})
"""Stateless (1954 Convention), refugee (1951 Convention), other refugee, unspecified."""
CODES: Final = frozenset(_BY_ALPHA_3) | frozenset(_SPECIAL) | NO_STATE
"""Every code that a nationality or an issuer can have."""


def is_state_code(code: str) -> bool:
    """Return whether Doc 9303 knows the code."""
    return code in CODES


def partner_of(code: str) -> PartnerId | None:
    """Return whose gateway a code means; None for organisations, the stateless and the unknown."""
    letters = _BY_ALPHA_3.get(code) or _SPECIAL.get(code)
    return PartnerId(letters) if letters else None
