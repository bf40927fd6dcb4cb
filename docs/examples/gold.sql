SELECT count(*) FROM farm	farm
SELECT Theme FROM farm_competition ORDER BY YEAR ASC	farm
SELECT avg(Working_Horses) FROM farm WHERE Total_Horses > 5000	farm
SELECT max(Cows) , min(Cows) FROM farm	farm
SELECT Official_Name FROM city ORDER BY Population DESC	farm
SELECT Official_Name , Status FROM city ORDER BY Population DESC LIMIT 1	farm
