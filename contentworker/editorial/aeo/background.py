"""How rare a term is in English at large: classes of inverse document frequency.

Counted over the 240 English paragraphs of XQuAD (Artetxe et al. 2020, arXiv 1910.11856; Wikipedia text,
CC BY-SA 4.0): ln(1 + paragraphs / (1 + paragraphs with the term)), rounded to halves, for the stems that
stand in at least five paragraphs. Every other term is rare.
"""

__all__ = ["ENGLISH_IDF", "RAREST_IDF"]

# About what a term of one paragraph in 240 gets.
RAREST_IDF = 5.0

_CLASSES = {
    1.5: """
        first includ stat year
    """,
    2.0: """
        however known mani may new one sinc tim two unit work
    """,
    2.5: """
        act american area bas becam call caus chang citi compani continu countri develop earli end
        establish exampl follow forc form general government high increas larg largest later led mad
        major member much nam need north now number often order part peopl period political power
        present provid public rol second several south support system theori thre typ use used war well
        west world
    """,
    3.0: """
        ad age allow almost along although another around attempt becom began bodi british build built
        business cam cas center central centuri certain channel church civil clos com common communiti
        complet consider construction contain control court cover creat day de decision demand design
        development different directli divid due east economic education either england english europ
        european even eventualli evidenc extend famili field fiv former found four franc french german
        given global great group held help hom hous individual industri instanc institution
        international issu john land larger last launch law lead left level lif lik lin liv local long
        low lower main majoriti mak market mean mil militari million model modern must national network
        non occur open operat original parliament pass plac plai point polici popular population
        position possibl president pressur prevent prim principl privat problem process produc program
        project publish rat receiv record region relat religious remain report represent requir result
        return right river rul run school seri serv servic set show siz small social spac special still
        student studi subject tak ten third thought throughout trad union universiti using usualli
        various view water way william within without
    """,
    3.5: """
        abc academic accept accord account achiev action activ actual addition additional administration
        affect africa african ago air al america among amount ancestor angel animal appear application
        appoint approach argu arriv art assembli associat association atlantic attack authoriti back
        battl begin believ best better black branch bridg britain california campaign campus captur car
        carri cbs cell charl charter children china chines chloroplast christian citation claim class
        coast collection coloni colonial combin compar complex computer concern condition conduct
        connect connection consist constitution construct content controll convert corporation council
        counti ctenophor cultural current currentli cycl dat data david deal death debat decad
        definition degre department descendant describ despit destroi differ digital direct diseas
        division doctor domestic dominat drug dynasti earlier earth eastern economist effect elect
        electric element emperor emploi energi engineer enough enter equal especialli estimat etc event
        everi exist experienc explain express fact fail fall famous far featur februari fight figur
        financ financial find firm flight focus foreign formation formerli fort fossil foundation fre
        function fund gain galleri gas gav gen generalli germani get giv govern governor greater greek
        growth half head health henri higher hold host huguenot human hundr idea ii imag important
        independent indicat inequaliti influenc instead integer interest internal introduc islamic
        isolat itali item jacksonvill jam januari jon joseph kenya khan kill king km la lack lat leader
        leagu legal legislation legislativ less limit list locat location london longer los lost luther
        mainli man manag manufactur mass master material matter measur medical medicin medieval meet men
        method methodist mid middl minister mongol mostli mount mov movement muslim nation natural
        necessari neither newcastl newli next norman northern nuclear numerous object october offer
        offic oil old other outsid oxygen paper parti particular past patient paul pharmacist plagu plan
        planet plant practic presenc previousli production prominent propos quickli rais rang reach
        recent reduc refer regulation replac research respons responsibl ris rival ros rout safeti said
        san say scal scienc scotland scottish sea season secondari section see sens separat sequenc
        settlement seven sid significant similar singl sit six smaller societi sometim song soon
        southern speci sport spread stag standard start station steam strong structur styl suggest
        suppli surfac surround taken team television temperatur term territori tesla therefor thoma
        though thus titl todai took total toward town traditional transfer translation treati troop
        typicalli uk upon urban van version victoria warm warsaw western whether whit whol widespread
        won word written wrot
    """,
}

ENGLISH_IDF: dict[str, float] = {term: idf for idf, terms in _CLASSES.items() for term in terms.split()}
